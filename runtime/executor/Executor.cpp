//===- Executor.cpp - one rank: loads a plan and walks its schedule ---------------------------===//

#include "runtime/executor/Executor.h"

#include "runtime/executor/Weights.h"
#include "runtime/plan/Checker.h"
#include "runtime/plan/Error.h"
#include "runtime/plan/File.h"
#include "runtime/plan/Types.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <omp.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <span>
#include <thread>

namespace deepshard::runtime {

const double *StepResult::find(const std::string &name) const {
  for (const auto &[metric, value] : metrics)
    if (metric == name)
      return &value;
  return nullptr;
}

void requireFiniteLoss(const StepResult &result) {
  const double *loss = result.find("loss");
  if (loss && !std::isfinite(*loss))
    throw Error(fmt::format("step {}: the loss is {}; training stopped. A smaller learning rate, a "
                            "longer warm-up or gradient_clipping may help",
                            result.step, *loss),
                ExitCode::Diverged);
}

static const planpb::Program &trainingProgram(const planpb::Plan &plan) {
  for (const planpb::Program &program : plan.programs())
    if (program.name() == "train")
      return program;
  throw Error("the plan has no program called train");
}

/// The plan, if it is sound.
static planpb::Plan checked(planpb::Plan plan) {
  std::vector<std::string> faults = checkPlan(plan);
  if (!faults.empty())
    throw Error(fmt::format("the plan is not sound; run ds-opt again, and report this if it is "
                            "ds-opt's own:\n{}",
                            fmt::join(faults, "\n")));
  return plan;
}

uint64_t jobWindowBytes(const planpb::Plan &plan) { return windowBytes(trainingProgram(plan)); }

Executor::Executor(planpb::Plan plan, const ExecutorOptions &options, World *world, int rank)
    : thePlan(checked(std::move(plan))), mesh(thePlan.mesh()), program(&trainingProgram(thePlan)),
      seed(options.seed), rank(rank), world(world) {
  constexpr std::chrono::hours kNobodyToWaitFor(1);
  if (!world && thePlan.ranks() == 1 && windowBytes(*program) > 0) {
    ownWorld = std::make_unique<World>(1, windowBytes(*program), kNobodyToWaitFor);
    this->world = ownWorld.get();
  }
  int ranks = this->world ? this->world->ranks() : 1;
  if (thePlan.ranks() != static_cast<uint32_t>(ranks))
    throw Error(fmt::format("the plan is for {} ranks, but {} execute it", thePlan.ranks(), ranks));
  initialise(options);
}

Executor::~Executor() = default;

void Executor::initialise(const ExecutorOptions &options) {
  schedule = std::make_unique<LrSchedule>(thePlan.training());
  data = std::make_unique<DataSet>(thePlan, options.data, rank);
  const planpb::Training &training = thePlan.training();
  for (const planpb::Input &input : thePlan.inputs()) {
    Share share{training.global_batch() / training.accumulation(), 0};
    if (int batch = input.batch_dimension(); batch >= 0)
      share.before = mesh.part(axesOf(input, batch), static_cast<uint64_t>(rank)) *
                     static_cast<uint64_t>(input.shape(batch));
    shares.push_back(share);
  }
  memory = std::make_unique<Memory>(*program, mesh, rank, world ? world->window(rank) : nullptr);
  if (world)
    makeCommunicators(*world);
  // Kernels that prepare themselves for a team look at the calling thread's setting.
  omp_set_num_threads(options.threads);
  prepared = std::make_unique<PreparedProgram>(thePlan, *program, *memory, options.threads, this,
                                               communicators);
  for (const planpb::Buffer &buffer : program->buffers())
    if (!buffer.constant().empty())
      std::memcpy(memory->at(buffer), buffer.constant().data(), buffer.constant().size());
  loadWeights(thePlan, options.weights, *memory, options.threads);
  for (const planpb::Slot &metric : program->metrics())
    result.metrics.emplace_back(metric.name(), 0);
  if (options.recordTimeline)
    recorder = std::make_unique<Timeline>(thePlan, rank, options.timelineStart);
  if (options.profile)
    profiler = std::make_unique<Profile>(thePlan);
  for (uint32_t i = 0; i < program->events(); ++i)
    events.emplace_back();
  for (int i = 0; i < program->streams_size() && options.delaySeed != 0; ++i)
    delays.push_back(options.delaySeed * 1000003 + static_cast<uint64_t>(rank * 1009 + i));
  for (const std::string &name : program->streams())
    streams.push_back(std::make_unique<Stream>(name, options.threads));
}

/// One communicator for each group, in the order of the plan, which is the same on all ranks.
void Executor::makeCommunicators(World &world) {
  for (const planpb::Segment &segment : program->segments())
    for (const planpb::Task &task : segment.tasks()) {
      if (!task.has_collective())
        continue;
      const planpb::AxisList &group = task.collective().group();
      auto [entry, isNew] = communicators.try_emplace(mesh.digits(group));
      if (isNew)
        entry->second = world.communicator(rank, static_cast<int>(communicators.size()) - 1,
                                           mesh.group(group, static_cast<uint64_t>(rank)));
    }
}

void Executor::fail(const std::string &message, ExitCode code) noexcept {
  if (world)
    world->abort(rank, message);
  std::lock_guard lock(failureMutex);
  if (!failure)
    failure = std::make_exception_ptr(Error(message, code));
  hasFailed = true;
}

/// Copies a strided window; recursion over the dimensions needs no memory but the stack.
static void copyStrided(const char *from, const int64_t *fromStrides, char *to,
                        const int64_t *toStrides, const int64_t *shape, int rank, size_t width) {
  if (rank == 0) {
    std::memcpy(to, from, width);
    return;
  }
  for (int64_t i = 0; i < shape[0]; ++i)
    copyStrided(from + i * fromStrides[0] * int64_t(width), fromStrides + 1,
                to + i * toStrides[0] * int64_t(width), toStrides + 1, shape + 1, rank - 1, width);
}

void Executor::feed(const PreparedTask &ready, uint32_t microBatch) noexcept {
  const planpb::Feed &feed = ready.task->feed();
  const Share &share = shares[feed.input()];
  uint64_t position = (result.step - 1) * thePlan.training().global_batch() +
                      uint64_t{microBatch} * share.ofAll + share.before;
  const auto &strides = feed.view().strides();
  try {
    data->feed(feed.input(), position, ready.outputs[0],
               std::span(strides.data(), static_cast<size_t>(strides.size())));
  } catch (const std::exception &error) {
    fail(fmt::format("step {}, micro-batch {}: {}", result.step, microBatch, error.what()),
         ExitCode::BadInput);
  }
}

void Executor::collective(const PreparedTask &ready) {
  using planpb::Collective;
  const PreparedCollective &task = *ready.collective;
  Communicator &group = *task.communicator;
  const void *input = ready.inputs[0];
  void *output = ready.outputs[0];
  world->note(rank, ready.task->collective().sequence());
  switch (task.kind) {
  case Collective::ALL_REDUCE:
    return group.allReduce(input, output, task.inner, task.type, task.reduction);
  case Collective::REDUCE_SCATTER:
    return group.reduceScatter(input, output, task.outer, task.inner, task.type, task.reduction);
  case Collective::ALL_GATHER:
    return group.allGather(input, output, task.outer, task.inner, task.type);
  case Collective::ALL_TO_ALL:
    if (task.isForward)
      return group.allToAllForward(input, output, task.outer, task.middle, task.inner, task.type);
    return group.allToAllBackward(input, output, task.outer, task.middle, task.inner, task.type);
  default:
    return group.permute(input, output, task.inner, task.type, task.sources);
  }
}

/// Up to 0.2 ms for most tasks, now and then 2 ms.
void Executor::delay(uint32_t stream) noexcept {
  uint64_t &state = delays[stream];
  state = state * 6364136223846793005u + 1442695040888963407u;
  uint64_t microseconds = (state >> 33) % ((state >> 60) == 0 ? 2000 : 200);
  std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
}

void Executor::run(const PreparedTask &ready, uint32_t microBatch) noexcept {
  if (hasFailed.load(std::memory_order_relaxed))
    return;
  if (!delays.empty())
    delay(ready.task->stream());
  Timeline::Clock::time_point begin;
  if (recorder || profiler)
    begin = Timeline::Clock::now();
  const planpb::Task &task = *ready.task;
  if (ready.kernel) {
    ready.kernel->run({ready.inputs, ready.outputs, ready.workspace});
  } else if (task.has_copy()) {
    const planpb::View &from = task.copy().from();
    const planpb::View &to = task.copy().to();
    copyStrided(static_cast<const char *>(ready.inputs[0]), from.strides().data(),
                static_cast<char *>(ready.outputs[0]), to.strides().data(), from.shape().data(),
                from.shape_size(), sizeOf(dtypeOf(from.dtype())));
  } else if (task.has_feed()) {
    feed(ready, microBatch);
  } else if (task.has_collective()) {
    try {
      collective(ready);
    } catch (const Error &error) {
      fail(fmt::format("step {}, micro-batch {}, {} ({}): {}", result.step, microBatch,
                       nameOf(task.collective().kind()), task.location(), error.what()),
           error.code());
    }
  }
  if (!recorder && !profiler)
    return;
  const Timeline::Clock::time_point end = Timeline::Clock::now();
  if (recorder)
    recorder->add(task, result.step, microBatch, begin, end);
  if (profiler)
    profiler->add(task, result.step, end - begin);
}

void Executor::writeRunState(const PreparedSegment &segment, uint32_t microBatch) noexcept {
  for (const PreparedState &state : segment.runState) {
    auto step = static_cast<int64_t>(result.step);
    if (state.name == "random_counter") {
      int64_t counter[3] = {static_cast<int64_t>(seed), step - 1, microBatch};
      std::memcpy(state.place, counter, sizeof(counter));
    } else if (state.name == "learning_rate") {
      std::memcpy(state.place, &result.learningRate, sizeof(double));
    } else if (state.name == "update_step") {
      std::memcpy(state.place, &step, sizeof(step));
    } else if (state.name == "part") {
      std::memcpy(state.place, &state.part, sizeof(state.part));
    }
  }
}

void Executor::issue(const PreparedTask &task, uint32_t microBatch) {
  Stream &stream = *streams[task.task->stream()];
  if (task.task->kind_case() == planpb::Task::kRecord)
    return stream.record(events[task.task->record()]);
  if (task.task->kind_case() == planpb::Task::kWait)
    return stream.wait(events[task.task->wait()]);
  auto work = [](void *context, uint64_t argument) noexcept {
    auto *ready = static_cast<PreparedTask *>(context);
    ready->executor->run(*ready, static_cast<uint32_t>(argument));
  };
  stream.issue(work, const_cast<PreparedTask *>(&task), microBatch);
}

const StepResult &Executor::step() {
  auto start = std::chrono::steady_clock::now();
  ++result.step;
  result.learningRate = schedule->at(result.step);
  for (int i = 0; i < program->schedule_size(); ++i) {
    uint32_t microBatch = program->schedule(i).micro_batch();
    PreparedSegment *segment = prepared->calls()[static_cast<size_t>(i)];
    auto write = [](void *context, uint64_t argument) noexcept {
      auto *segment = static_cast<PreparedSegment *>(context);
      segment->executor->writeRunState(*segment, static_cast<uint32_t>(argument));
    };
    streams.front()->issue(write, segment, microBatch);
    for (const PreparedTask &task : segment->tasks)
      issue(task, microBatch);
  }
  for (const std::unique_ptr<Stream> &stream : streams)
    stream->join();
  if (hasFailed)
    std::rethrow_exception(failure);
  readMetrics();
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (profiler)
    profiler->endStep(result.step, result.seconds);
  return result;
}

void Executor::readMetrics() {
  uint32_t lastSlot = program->schedule().empty() ? 0 : program->schedule().rbegin()->slot();
  for (int i = 0; i < program->metrics_size(); ++i) {
    const planpb::View &view = program->metrics(i).view();
    const char *place = memory->at(view, lastSlot);
    double &value = result.metrics[static_cast<size_t>(i)].second;
    if (view.dtype() == planpb::F64) {
      std::memcpy(&value, place, sizeof(double));
    } else if (view.dtype() == planpb::F32) {
      float number = 0;
      std::memcpy(&number, place, sizeof(number));
      value = number;
    } else {
      int64_t number = 0;
      std::memcpy(&number, place, sizeof(number));
      value = static_cast<double>(number);
    }
  }
}

void Executor::saveWeights(const std::string &path) const {
  OutputFile file(path);
  saveWeights(file);
  file.commit();
}

void Executor::saveWeights(OutputFile &file) const { runtime::saveWeights(thePlan, *memory, file); }

} // namespace deepshard::runtime
