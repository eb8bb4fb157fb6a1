//===- Run.cpp - a training run ---------------------------------------------------------------===//

#include "tools/ds-run/Run.h"

#include "runtime/executor/Executor.h"
#include "runtime/kernels/CpuLevel.h"
#include "runtime/plan/Checker.h"
#include "runtime/plan/File.h"
#include "runtime/plan/PlanFile.h"
#include "runtime/trace/Metrics.h"
#include "runtime/trace/Progress.h"
#include "tools/ds-run/Summary.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>

#include <unistd.h>

namespace deepshard {

using namespace runtime;

namespace {

volatile std::sig_atomic_t stopSignal = 0;

/// The first SIGINT or SIGTERM lets the step finish; the handler is gone then, so that a second one
/// ends the process.
void catchSignals() {
  struct sigaction action = {};
  action.sa_handler = [](int signal) { stopSignal = signal; };
  action.sa_flags = SA_RESETHAND | SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

void requireCpu(const planpb::Plan &plan) {
  if (offers(cpuLevel(), plan.cpu_level()))
    return;
  throw Error(fmt::format("the plan was made for CPUs of level {}, this machine offers {}; run "
                          "ds-opt for that level, or run the plan on another machine",
                          plan.cpu_level(), cpuLevel()));
}

ExitCode check(const planpb::Plan &plan, const std::string &path) {
  std::vector<std::string> faults = checkPlan(plan);
  if (!faults.empty())
    throw Error(fmt::format("{}: the plan is not sound:\n{}", path, fmt::join(faults, "\n")));
  fmt::print("{}: sound\n{}", path, summarize(plan));
  if (!offers(cpuLevel(), plan.cpu_level()))
    fmt::print("this machine cannot run it: it offers {}\n", cpuLevel());
  return ExitCode::Done;
}

ExecutorOptions executorOptions(const RunOptions &options, const planpb::Plan &plan) {
  ExecutorOptions result;
  result.threads = options.threads > 0 ? options.threads : std::max<int>(1, plan.threads());
  result.seed = options.seed;
  result.data = {options.data, options.seed, options.shuffle};
  result.weights = options.weights;
  result.recordTimeline = !options.trace.empty();
  return result;
}

StepMetrics metricsOf(const StepResult &result, const Executor &executor) {
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
  metrics.peakBytes = peakResidentBytes();
  metrics.plannedBytes = executor.plannedBytes();
  return metrics;
}

/// Runs the steps. Returns how many ran.
uint64_t train(Executor &executor, const RunOptions &options, MetricsWriter *writer) {
  const planpb::Training &training = executor.plan().training();
  Progress progress(stdout, ::isatty(STDOUT_FILENO) == 1, options.steps, training.steps_per_print(),
                    training.tokens_per_step() > 0 ? "tokens" : "samples");
  uint64_t done = 0;
  while (done < options.steps && stopSignal == 0) {
    const StepResult &result = executor.step();
    StepMetrics metrics = metricsOf(result, executor);
    done = metrics.step;
    if (writer)
      writer->write(metrics);
    progress.show(metrics);
    requireFiniteLoss(result);
  }
  return done;
}

} // namespace

ExitCode run(const RunOptions &options) {
  auto start = std::chrono::steady_clock::now();
  planpb::Plan plan = readPlan(options.plan);
  if (options.checkOnly)
    return check(plan, options.plan);
  requireCpu(plan);
  // A place that cannot be written to is found before the training, not after.
  for (const std::string &path : {options.saveWeights, options.trace})
    if (!path.empty())
      OutputFile probe(path);
  std::unique_ptr<MetricsWriter> writer;
  const ExecutorOptions settings = executorOptions(options, plan);
  Executor executor(std::move(plan), settings);
  if (!options.metrics.empty())
    writer = std::make_unique<MetricsWriter>(options.metrics);
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  fmt::print("{}: ready after {:.2f} s, {} threads\n", options.plan, seconds, settings.threads);
  std::fflush(stdout);
  catchSignals();
  uint64_t done = train(executor, options, writer.get());
  if (executor.timeline())
    executor.timeline()->write(options.trace);
  if (!options.saveWeights.empty()) {
    executor.saveWeights(options.saveWeights);
    fmt::print("weights after step {} saved to {}\n", done, options.saveWeights);
  }
  if (done == options.steps)
    return ExitCode::Done;
  fmt::print(stderr, "ds-run: stopped by a signal after step {} of {}\n", done, options.steps);
  return ExitCode::Interrupted;
}

} // namespace deepshard
