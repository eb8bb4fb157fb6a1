//===- Run.cpp - a training run ---------------------------------------------------------------===//

#include "tools/ds-run/Run.h"

#include "runtime/executor/Executor.h"
#include "runtime/kernels/CpuLevel.h"
#include "runtime/kernels/Providers.h"
#include "runtime/launch/Launch.h"
#include "runtime/plan/Checker.h"
#include "runtime/plan/PlanFile.h"
#include "runtime/plan/Summary.h"
#include "runtime/trace/Metrics.h"
#include "runtime/trace/PeakMemory.h"
#include "runtime/trace/Progress.h"
#include "tools/ds-run/JobFiles.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <atomic>
#include <cctype>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <vector>

#include <unistd.h>

namespace deepshard {

using namespace runtime;

namespace {

/// Where the handler writes.
std::atomic<bool> *stopRequest = nullptr;

/// Of a run in this process: the first SIGINT or SIGTERM lets the step finish; the handler is gone
/// then, so that a second one ends the process.
void catchSignals(JobState &state) {
  stopRequest = &state.isStopRequested;
  struct sigaction action = {};
  action.sa_handler = [](int) { stopRequest->store(true); };
  action.sa_flags = SA_RESETHAND | SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

/// On GPUs the host computes nothing.
bool suitsCpu(const planpb::Plan &plan) {
  return plan.backend() == planpb::CUDA || offers(cpuLevel(), plan.cpu_level());
}

void requireCpu(const planpb::Plan &plan) {
  if (suitsCpu(plan))
    return;
  throw Error(fmt::format("the plan was made for CPUs of level {0}, this machine offers {1}; "
                          "run ds-opt again on this machine, or the plan on one that offers {0}",
                          plan.cpu_level(), cpuLevel()));
}

ExitCode check(const planpb::Plan &plan, const std::string &path) {
  std::vector<std::string> faults = checkPlan(plan);
  if (!faults.empty())
    throw Error(fmt::format("{}: the plan is not sound:\n{}", path, fmt::join(faults, "\n")));
  fmt::print("{}: sound\n{}", path, runtime::summarize(plan));
  if (!suitsCpu(plan))
    fmt::print("this machine cannot run it: it offers {}\n", cpuLevel());
  return ExitCode::Done;
}

std::chrono::milliseconds timeoutOf(const RunOptions &options) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::duration<double>(options.timeout));
}

ExecutorOptions executorOptions(const RunOptions &options, const planpb::Plan &plan) {
  ExecutorOptions result;
  result.threads = options.threads > 0 ? options.threads : std::max<int>(1, plan.threads());
  result.seed = options.seed;
  result.data = {options.data, options.seed, options.shuffle};
  result.weights = options.weights;
  result.recordTimeline = !options.trace.empty();
  result.profile = options.profile;
  result.delaySeed = options.delaySeed;
  result.oneByOne = options.oneByOne;
  result.cudaLibraries = options.cudaLibraries;
  result.ranksShareGpu = options.shareGpu;
  result.timeout = timeoutOf(options);
  return result;
}

/// What a run is about, the same on all its ranks.
struct Job {
  const RunOptions &options;
  const planpb::Plan &plan;
  const ExecutorOptions settings;
  const JobFiles &files;
  JobState &state;
  World *world = nullptr; // null: one rank
  std::chrono::steady_clock::time_point start;
};

StepMetrics metricsOf(const Job &job, const StepResult &result, const Executor &executor,
                      uint64_t peakBytes) {
  const planpb::Training &training = executor.plan().training();
  uint64_t units = training.tokens_per_step() > 0 ? training.tokens_per_step()
                                                  : uint64_t{training.global_batch()};
  StepMetrics metrics;
  metrics.step = result.step;
  metrics.model = result.metrics;
  metrics.learningRate = result.learningRate;
  metrics.stepSeconds = result.seconds;
  metrics.tokensPerSecond = static_cast<double>(units) / result.seconds;
  metrics.samples = result.step * training.global_batch();
  metrics.peakBytes = peakBytes;
  metrics.plannedBytes = executor.plannedBytes();
  if (!job.options.metrics.empty()) // asks the driver
    metrics.device = executor.deviceBytes();
  return metrics;
}

/// What rank 0 tells while the steps go on.
class Reporter {
public:
  explicit Reporter(const Job &job)
      : progress(stdout, ::isatty(STDOUT_FILENO) == 1, job.options.steps,
                 job.plan.training().steps_per_print(),
                 job.plan.training().tokens_per_step() > 0 ? "tokens" : "samples") {
    if (!job.options.metrics.empty())
      writer = std::make_unique<MetricsWriter>(job.options.metrics);
    std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - job.start;
    std::string ranks = job.world ? fmt::format("{} ranks with ", job.plan.ranks()) : "";
    fmt::print("{}: ready after {:.2f} s, {}{} threads\n", job.options.plan, seconds.count(), ranks,
               job.settings.threads);
    std::fflush(stdout);
  }

  void show(const StepMetrics &metrics) {
    if (writer)
      writer->write(metrics);
    progress.show(metrics);
  }

private:
  std::unique_ptr<MetricsWriter> writer;
  Progress progress;
};

std::string profileText(const Profile &profile, const MachinePeaks &peaks) {
  std::string text = profile.text(peaks);
  return text.empty() ? "no profile: it leaves out the first step; run at least 2\n" : "\n" + text;
}

/// Whether another step is to come after `done`. Rank 0 of many decides for all, one step ahead:
/// the others may be in that step already.
bool goesOn(const Job &job, int rank, uint64_t done) {
  if (done >= job.options.steps)
    return false;
  if (!job.world)
    return !job.state.isStopRequested;
  if (done >= job.world->lastStep())
    return false;
  if (rank == 0 && job.state.isStopRequested)
    job.world->stopAfter(done + 1);
  return true;
}

void runSteps(const Job &job, int rank, Executor &executor) {
  std::unique_ptr<Reporter> reporter;
  if (rank == 0)
    reporter = std::make_unique<Reporter>(job);
  if (!job.world)
    catchSignals(job.state);
  for (uint64_t done = 0; goesOn(job, rank, done); ++done) {
    const StepResult &result = executor.step();
    uint64_t peak = peakResidentBytes();
    if (job.world)
      job.world->publish(rank, peak);
    if (!reporter)
      continue;
    if (job.world)
      peak = job.world->largestPublished();
    reporter->show(metricsOf(job, result, executor, peak));
    job.state.stepsDone = result.step;
    requireFiniteLoss(result);
  }
  if (executor.profile()) {
    // All ranks measure at once, as they compute at once.
    const MachinePeaks peaks = executor.measurePeaks(job.settings.threads);
    reporter.reset(); // ends its line
    if (rank == 0)
      fmt::print("{}", profileText(*executor.profile(), peaks));
  }
  if (executor.timeline())
    job.files.writeTrace(rank, *executor.timeline());
  if (job.files.weights())
    executor.saveWeights(*job.files.weights());
}

/// After a failure. CUDA gives memory back only when the GPU has ended its work, which it may never
/// do; the end of the process, which comes next, waits for nothing.
void leaveToProcess(const Job &job, std::unique_ptr<Executor> &executor) {
  if (job.plan.backend() == planpb::CUDA)
    (void)executor.release();
}

/// One rank, from loading to its share of what is saved.
std::unique_ptr<Executor> runRank(const Job &job, int rank) {
  auto executor = std::make_unique<Executor>(job.plan, job.settings, job.world, rank);
  try {
    runSteps(job, rank, *executor);
  } catch (...) {
    leaveToProcess(job, executor);
    throw;
  }
  return executor;
}

/// Names the tasks behind the numbers of collectives in a message about ranks that wait.
std::string withTasks(const std::string &message, const planpb::Plan &plan) {
  std::string text = message;
  for (const planpb::Program &program : plan.programs())
    for (const planpb::Segment &segment : program.segments())
      for (int i = 0; i < segment.tasks_size(); ++i) {
        if (!segment.tasks(i).has_collective())
          continue;
        std::string name = fmt::format("collective {}", segment.tasks(i).collective().sequence());
        bool isWhole = false; // "collective 3" is not in "collective 31"
        for (size_t at = message.find(name); at != std::string::npos && !isWhole;
             at = message.find(name, at + 1)) {
          size_t end = at + name.size();
          isWhole =
              end == message.size() || !std::isdigit(static_cast<unsigned char>(message[end]));
        }
        if (isWhole)
          text += fmt::format("\n{} is {}", name, describeTask(segment, i));
      }
  return text;
}

/// Ranks as threads of this process, which can share a GPU. None gives its memory back before all
/// have ended: it would wait for what another one has started.
void runThreads(World &world, const Job &job) {
  catchSignals(job.state);
  std::vector<std::unique_ptr<Executor>> executors(static_cast<size_t>(world.ranks()));
  try {
    launchThreads(world,
                  [&](int rank) { executors[static_cast<size_t>(rank)] = runRank(job, rank); });
  } catch (...) {
    for (std::unique_ptr<Executor> &executor : executors)
      leaveToProcess(job, executor);
    throw;
  }
}

void runAllRanks(Job &job) {
  std::vector<std::string> faults = checkPlan(job.plan);
  if (!faults.empty())
    throw Error(fmt::format("{}: the plan is not sound; run ds-opt again:\n{}", job.options.plan,
                            fmt::join(faults, "\n")));
  World world(static_cast<int>(job.plan.ranks()), jobWindowBytes(job.plan), job.settings.timeout);
  job.world = &world;
  LaunchOptions options;
  // Threads of the driver and of NCCL need cores of their own.
  options.threadsPerRank = job.plan.backend() == planpb::CUDA ? 0 : job.settings.threads;
  try {
    if (job.plan.backend() == planpb::CUDA && job.options.shareGpu)
      runThreads(world, job);
    else
      launch(world, options, job.state, [&](int rank) { (void)runRank(job, rank); });
  } catch (const Error &error) {
    throw Error(withTasks(error.what(), job.plan), error.code());
  }
}

void requireRanks(const RunOptions &options, const planpb::Plan &plan) {
  if (options.ranks == 0 || static_cast<uint32_t>(options.ranks) == plan.ranks())
    return;
  throw Error(fmt::format("-n {0}: {1} is a plan for {2} rank{3}; leave -n out, or run ds-opt with "
                          "--ranks {0}",
                          options.ranks, options.plan, plan.ranks(), plan.ranks() == 1 ? "" : "s"),
              ExitCode::Usage);
}

} // namespace

ExitCode run(const RunOptions &options) {
  auto start = std::chrono::steady_clock::now();
  planpb::Plan plan = readPlan(options.plan);
  requireRanks(options, plan);
  if (options.checkOnly)
    return check(plan, options.plan);
  requireCpu(plan);
  // The workspaces in the plan are those of its level.
  limitProviders(plan.cpu_level());
  JobFiles files(options, static_cast<int>(plan.ranks()));
  SharedJobState state;
  Job job{options, plan, executorOptions(options, plan), files, *state, nullptr, start};
  if (plan.ranks() == 1)
    (void)runRank(job, 0);
  else
    runAllRanks(job);
  uint64_t done = state->stepsDone;
  files.commitTrace();
  files.commitWeights();
  if (files.weights())
    fmt::print("weights after step {} saved to {}\n", done, options.saveWeights);
  if (done == options.steps)
    return ExitCode::Done;
  fmt::print(stderr, "ds-run: stopped by a signal after step {} of {}\n", done, options.steps);
  return ExitCode::Interrupted;
}

} // namespace deepshard
