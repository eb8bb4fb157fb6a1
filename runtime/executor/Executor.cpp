//===- Executor.cpp - one rank: loads a plan and walks its schedule ---------------------------===//

#include "runtime/executor/Executor.h"

#include "runtime/comm/Control.h"
#include "runtime/device/Cuda.h"
#include "runtime/device/cpu/Device.h"
#include "runtime/executor/HostImage.h"
#include "runtime/executor/Weights.h"
#include "runtime/plan/Checker.h"
#include "runtime/plan/Error.h"
#include "runtime/plan/File.h"
#include "runtime/plan/Geometry.h"
#include "runtime/plan/Types.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <omp.h>

#include <array>
#include <chrono>
#include <cmath>
#include <cstring>
#include <numeric>
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
  const double *loss = result.find("loss"), *overflow = result.find("overflow"),
               *scale = result.find("loss_scale");
  if (scale && *scale == 0)
    throw Error(fmt::format("step {}: gradients overflow at the smallest loss scale; training "
                            "stopped. Gradients or activations are too large for fp16, or not a "
                            "number: try bf16, a smaller learning rate or fp16.min_loss_scale",
                            result.step),
                ExitCode::Diverged);
  const bool isSkipped = overflow && *overflow != 0;
  if (loss && !std::isfinite(*loss) && !isSkipped)
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

/// GPUs have windows of their own; their host processes only tell each other how to meet.
uint64_t jobWindowBytes(const planpb::Plan &plan) {
  return plan.backend() == planpb::CUDA ? kExchangeBytes : windowBytes(trainingProgram(plan));
}

Executor::Executor(planpb::Plan plan, const ExecutorOptions &options, World *world, int rank)
    : thePlan(checked(std::move(plan))), mesh(thePlan.mesh()), program(&trainingProgram(thePlan)),
      seed(options.seed), rank(rank), world(world), isOneByOne(options.oneByOne) {
  if (!world && thePlan.ranks() == 1 && windowBytes(*program) > 0) {
    ownWorld = std::make_unique<World>(1, jobWindowBytes(thePlan), options.timeout);
    this->world = ownWorld.get();
  }
  int ranks = this->world ? this->world->ranks() : 1;
  if (thePlan.ranks() != static_cast<uint32_t>(ranks))
    throw Error(fmt::format("the plan is for {} ranks, but {} execute it", thePlan.ranks(), ranks));
  try {
    initialise(options);
  } catch (const std::exception &error) {
    // The others get this reason, and not what they see of this one's end.
    if (this->world)
      this->world->abort(rank, error.what());
    throw;
  }
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
  openDevice(options);
  memory = std::make_unique<Memory>(*program, mesh, rank, *device);
  if (world)
    makeCommunicators(*world);
  // Kernels that prepare themselves for a team look at the calling thread's setting.
  omp_set_num_threads(options.threads);
  prepared = std::make_unique<PreparedProgram>(thePlan, *program, *memory, *device, options.threads,
                                               this, communicators);
  for (const planpb::Buffer &buffer : program->buffers())
    if (!buffer.constant().empty())
      device->write(memory->at(buffer), buffer.constant().data(), buffer.constant().size());
  for (const planpb::Bucket &bucket : program->buckets())
    if (!bucket.initial().empty())
      device->write(memory->at(bucket.view()), bucket.initial().data(), bucket.initial().size());
  if (device->isHost()) {
    loadWeights(thePlan, options.weights, *memory, options.threads);
  } else {
    HostImage image(thePlan, *memory, *device);
    loadWeights(thePlan, options.weights, image.memory(), options.threads);
    image.upload();
  }
  reserveStaging();
  for (const planpb::Slot &metric : program->metrics())
    result.metrics.emplace_back(metric.name(), 0);
  if (options.recordTimeline)
    recorder = std::make_unique<Timeline>(thePlan, rank, options.timelineStart);
  if (options.profile)
    profiler = std::make_unique<Profile>(thePlan);
  if (recorder || profiler) {
    size_t tasks = 0;
    for (const planpb::SegmentCall &call : program->schedule())
      tasks +=
          static_cast<size_t>(program->segments(static_cast<int>(call.segment())).tasks_size());
    clock = device->clock(tasks);
    timed.reserve(tasks);
  }
  for (uint32_t i = 0; i < program->events(); ++i)
    events.push_back(device->event());
  for (int i = 0; i < program->streams_size() && options.delaySeed != 0; ++i)
    delays.push_back(options.delaySeed * 1000003 + static_cast<uint64_t>(rank * 1009 + i));
  for (const std::string &name : program->streams())
    streams.push_back(device->stream(name));
}

void Executor::openDevice(const ExecutorOptions &options) {
  if (thePlan.backend() != planpb::CUDA) {
    device = std::make_unique<CpuDevice>(thePlan.code(), options.threads,
                                         world ? world->window(rank) : nullptr);
    return;
  }
  CudaOptions cuda;
  cuda.rank = rank;
  cuda.ranks = static_cast<int>(thePlan.ranks());
  cuda.libraries = options.cudaLibraries;
  cuda.ranksShareGpu = options.ranksShareGpu;
  cuda.timeout = options.timeout;
  for (const planpb::DeviceCode &code : thePlan.device_code())
    cuda.code.push_back({code.target(), code.image()});
  for (const planpb::LibraryGraph &graph : thePlan.library_graphs())
    cuda.graphs.push_back(storedGraph(graph));
  if (world) {
    std::vector<int> all(static_cast<size_t>(world->ranks()));
    std::iota(all.begin(), all.end(), 0);
    everyone = world->communicator(rank, kMaxGroups - 1, all);
    cuda.everyone = everyone.get();
    cuda.exchange = world->window(rank);
    cuda.timeout = world->timeout();
    cuda.throwIfAborted = [world = world] {
      if (world->isAborted())
        throw Error("the job was ended by " + world->abortReason(), ExitCode::RankFailed);
    };
  }
  device = openCuda(cuda);
}

/// Values go through the host's side of the device one by one, each aligned.
void Executor::reserveStaging() {
  uint64_t bytes = 0;
  auto add = [&](uint64_t value) { bytes += (value + kStagingAlignment - 1) / kStagingAlignment; };
  for (const planpb::SegmentCall &call : program->schedule()) {
    for (const planpb::Slot &state : program->run_state())
      add(*byteSpan(state.view()));
    for (const planpb::Task &task : program->segments(static_cast<int>(call.segment())).tasks())
      if (task.has_feed())
        add(*byteSpan(task.feed().view()));
  }
  device->reserveStaging(bytes * kStagingAlignment);
}

/// One communicator for each group, in the order of the plan, which is the same on all ranks.
void Executor::makeCommunicators(World &world) {
  for (const planpb::Segment &segment : program->segments())
    for (const planpb::Task &task : segment.tasks()) {
      if (!task.has_collective())
        continue;
      const planpb::AxisList &group = task.collective().group();
      auto [entry, isNew] = communicators.try_emplace(mesh.digits(group));
      if (!isNew)
        continue;
      std::vector<int> members = mesh.group(group, static_cast<uint64_t>(rank));
      int index = static_cast<int>(communicators.size()) - 1;
      entry->second = device->communicator(world.communicator(rank, index, members), members);
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

/// Calls `action`; what it throws becomes the failure of the step, `where` says of what.
template <typename Where, typename Action>
void Executor::guard(const Where &where, const Action &action) noexcept {
  try {
    action();
  } catch (const Error &error) {
    fail(fmt::format("step {}, {}: {}", result.step, where(), error.what()), error.code());
  } catch (const std::exception &error) { // of a library
    fail(fmt::format("step {}, {}: {}", result.step, where(), error.what()), ExitCode::Internal);
  }
}

static std::string describe(const planpb::Task &task, uint32_t microBatch) {
  return fmt::format("micro-batch {}, {} ({})", microBatch, nameOf(task), task.location());
}

void Executor::feed(const PreparedTask &ready, uint32_t microBatch) noexcept {
  const planpb::Feed &feed = ready.task->feed();
  const Share &share = shares[feed.input()];
  uint64_t position = (result.step - 1) * thePlan.training().global_batch() +
                      uint64_t{microBatch} * share.ofAll + share.before;
  const auto &strides = feed.view().strides();
  try {
    char *to = static_cast<char *>(ready.outputs[0]);
    uint64_t bytes = *byteSpan(feed.view());
    char *staged = device->stage(to, bytes);
    data->feed(feed.input(), position, staged,
               std::span(strides.data(), static_cast<size_t>(strides.size())));
    device->send(to, staged, bytes);
  } catch (const std::exception &error) {
    fail(fmt::format("step {}, micro-batch {}: {}", result.step, microBatch, error.what()),
         ExitCode::BadInput);
  }
}

void Executor::copy(const PreparedTask &ready) {
  const planpb::View &from = ready.task->copy().from();
  const planpb::View &to = ready.task->copy().to();
  auto span = [](const auto &numbers) {
    return std::span(numbers.data(), static_cast<size_t>(numbers.size()));
  };
  device->copy({static_cast<const char *>(ready.inputs[0]), static_cast<char *>(ready.outputs[0]),
                span(from.shape()), span(from.strides()), span(to.strides()),
                sizeOf(dtypeOf(from.dtype()))});
}

void Executor::collective(const PreparedTask &ready) {
  using planpb::Collective;
  const PreparedCollective &task = *ready.collective;
  Communicator &group = *task.communicator;
  const void *input = ready.inputs[0];
  void *output = ready.outputs[0];
  world->note(rank, ready.task->collective().sequence());
  device->mark(uint64_t{ready.task->collective().sequence()} + 1);
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

void Executor::start(const PreparedTask &ready, uint32_t microBatch) {
  if (ready.kernel) {
    ready.kernel->run({ready.inputs, ready.outputs, ready.workspace});
    device->throwIfFailed();
  } else if (ready.task->has_copy()) {
    copy(ready);
  } else if (ready.task->has_feed()) {
    feed(ready, microBatch);
  } else if (ready.task->has_collective()) {
    collective(ready);
  }
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
  guard([&] { return describe(task, microBatch); },
        [&] {
          if (!clock)
            return start(ready, microBatch);
          if (timed.empty())
            clockStart = begin;
          clock->begin(timed.size());
          start(ready, microBatch);
          clock->end(timed.size());
          timed.push_back({&task, microBatch});
        });
  if (!clock && (recorder || profiler))
    note(task, microBatch, begin, Timeline::Clock::now());
}

void Executor::note(const planpb::Task &task, uint32_t microBatch,
                    Timeline::Clock::time_point begin, Timeline::Clock::time_point end) noexcept {
  if (recorder)
    recorder->add(task, result.step, microBatch, begin, end);
  if (profiler)
    profiler->add(task, result.step, end - begin);
}

/// What the clock of the device measured in this step.
void Executor::noteTimed() {
  for (size_t i = 0; i < timed.size(); ++i)
    guard([&] { return describe(*timed[i].task, timed[i].microBatch); },
          [&] {
            auto [begin, end] = clock->read(i);
            auto at = [&](TaskClock::Seconds seconds) {
              return clockStart + std::chrono::duration_cast<Timeline::Clock::duration>(seconds);
            };
            note(*timed[i].task, timed[i].microBatch, at(begin), at(end));
          });
}

void Executor::writeRunState(const PreparedSegment &segment, uint32_t microBatch) noexcept {
  auto write = [&](const PreparedState &state, const auto &value) {
    char *to = static_cast<char *>(state.place);
    char *staged = device->stage(to, sizeof(value));
    std::memcpy(staged, &value, sizeof(value));
    device->send(to, staged, sizeof(value));
  };
  auto step = static_cast<int64_t>(result.step);
  for (const PreparedState &state : segment.runState)
    guard([&] { return "run state " + state.name; },
          [&] {
            if (state.name == "random_counter")
              write(state,
                    std::array<int64_t, 3>{static_cast<int64_t>(seed), step - 1, microBatch});
            else if (state.name == "learning_rate")
              write(state, result.learningRate);
            else if (state.name == "update_step")
              write(state, static_cast<int64_t>(result.updateStep));
            else if (state.name == "part")
              write(state, state.part);
          });
}

void Executor::issue(const PreparedTask &ready, uint32_t microBatch) {
  const planpb::Task &task = *ready.task;
  Stream &stream = *streams[task.stream()];
  auto where = [&] { return describe(task, microBatch); };
  if (task.kind_case() == planpb::Task::kRecord)
    return guard(where, [&] { stream.record(*events[task.record()]); });
  if (task.kind_case() == planpb::Task::kWait)
    return guard(where, [&] { stream.wait(*events[task.wait()]); });
  auto work = [](void *context, uint64_t argument) noexcept {
    auto *ready = static_cast<PreparedTask *>(context);
    ready->executor->run(*ready, static_cast<uint32_t>(argument));
  };
  stream.issue(work, const_cast<PreparedTask *>(&ready), microBatch);
  if (isOneByOne && !hasFailed)
    guard(where, [&] { stream.join(); });
}

void Executor::issueCall(PreparedSegment &segment, uint32_t microBatch) {
  auto write = [](void *context, uint64_t argument) noexcept {
    auto *segment = static_cast<PreparedSegment *>(context);
    segment->executor->writeRunState(*segment, static_cast<uint32_t>(argument));
  };
  streams.front()->issue(write, &segment, microBatch);
  for (const PreparedTask &task : segment.tasks)
    if (!segment.graph || task.task->has_feed())
      issue(task, microBatch);
  if (segment.graph)
    guard([&] { return fmt::format("micro-batch {}, segment {}", microBatch, segment.name); },
          [&] { segment.graph->launch(); });
}

void Executor::captureSegments() {
  for (PreparedSegment *segment : prepared->calls()) {
    if (segment->graph || hasFailed)
      continue;
    guard([&] { return fmt::format("capture of segment {}", segment->name); },
          [&] {
            segment->graph = device->capture([&] {
              for (const PreparedTask &task : segment->tasks)
                if (!task.task->has_feed())
                  issue(task, 0);
            });
          });
  }
}

/// The collective of `program` with this number; null if there is none.
static const planpb::Task *collectiveOf(const planpb::Program &program, uint64_t sequence) {
  for (const planpb::Segment &segment : program.segments())
    for (const planpb::Task &task : segment.tasks())
      if (task.has_collective() && task.collective().sequence() == sequence)
        return &task;
  return nullptr;
}

/// With the collectives that streams came to last: what a GPU waits for without end is in one.
std::string Executor::describeStream(size_t index) const {
  auto nameOfStream = [&](size_t i) { return "stream " + program->streams(static_cast<int>(i)); };
  std::string text = nameOfStream(index);
  for (size_t i = 0; i < streams.size(); ++i)
    if (const uint64_t mark = device->marked(*streams[i]))
      if (const planpb::Task *task = collectiveOf(*program, mark - 1))
        text += fmt::format(", {}in or behind {} ({})",
                            i == index ? "" : "with " + nameOfStream(i) + " ", nameOf(*task),
                            task->location());
  return text;
}

const StepResult &Executor::step() {
  auto start = std::chrono::steady_clock::now();
  ++result.step;
  result.updateStep = result.step - skippedSteps();
  result.learningRate = schedule->at(result.updateStep);
  device->beginStep();
  timed.clear();
  if (clock)
    clock->beginStep();
  // Tasks that are to be measured are started one after the other.
  if (result.step == 2 && !isOneByOne && !clock)
    captureSegments();
  for (int i = 0; i < program->schedule_size() && !hasFailed; ++i)
    issueCall(*prepared->calls()[static_cast<size_t>(i)], program->schedule(i).micro_batch());
  for (size_t i = 0; i < streams.size(); ++i)
    guard([&] { return describeStream(i); }, [&] { streams[i]->join(); });
  readMetrics();
  if (!hasFailed)
    noteTimed();
  if (hasFailed)
    std::rethrow_exception(failure);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (profiler)
    profiler->endStep(result.step, result.seconds);
  return result;
}

MachinePeaks Executor::measurePeaks(int threads) const {
  const std::string &precision = thePlan.precision();
  return device->measurePeaks(precision == "bf16"  ? DType::BF16
                              : precision == "f16" ? DType::F16
                              : precision == "f64" ? DType::F64
                                                   : DType::F32,
                              threads);
}

/// Of the steps so far, from the state of the loss scale; 0 without one.
uint64_t Executor::skippedSteps() const {
  for (const planpb::Bucket &bucket : program->buckets())
    if (bucket.kind() == kLossScaleKind) {
      double state[kLossScaleNumbers];
      device->read(state, memory->at(bucket.view()), sizeof(state));
      return static_cast<uint64_t>(state[kSkippedSteps]);
    }
  return 0;
}

void Executor::readMetrics() {
  if (hasFailed)
    return;
  uint32_t lastSlot = program->schedule().empty() ? 0 : program->schedule().rbegin()->slot();
  for (int i = 0; i < program->metrics_size(); ++i) {
    const planpb::View &view = program->metrics(i).view();
    double &value = result.metrics[static_cast<size_t>(i)].second;
    auto read = [&](auto number) {
      device->read(&number, memory->at(view, lastSlot), sizeof(number));
      value = static_cast<double>(number);
    };
    guard([&] { return "metric " + program->metrics(i).name(); },
          [&] {
            if (view.dtype() == planpb::F64)
              read(double{});
            else if (view.dtype() == planpb::F32)
              read(float{});
            else
              read(int64_t{});
          });
  }
}

void Executor::saveWeights(const std::string &path) const {
  OutputFile file(path);
  saveWeights(file);
  file.commit();
}

void Executor::saveWeights(OutputFile &file) const {
  if (device->isHost())
    return runtime::saveWeights(thePlan, *memory, file);
  HostImage image(thePlan, *memory, *device);
  image.download();
  runtime::saveWeights(thePlan, image.memory(), file);
}

} // namespace deepshard::runtime
