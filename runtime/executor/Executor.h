//===- Executor.h - one rank: loads a plan and walks its schedule -----------------------------===//

#ifndef DEEPSHARD_RUNTIME_EXECUTOR_EXECUTOR_H
#define DEEPSHARD_RUNTIME_EXECUTOR_EXECUTOR_H

#include "runtime/comm/World.h"
#include "runtime/data/DataSet.h"
#include "runtime/device/Device.h"
#include "runtime/executor/LrSchedule.h"
#include "runtime/executor/Memory.h"
#include "runtime/executor/Prepare.h"
#include "runtime/plan/Error.h"
#include "runtime/plan/Mesh.h"
#include "runtime/plan/plan.pb.h"
#include "runtime/trace/Profile.h"
#include "runtime/trace/Timeline.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace deepshard::runtime {

struct ExecutorOptions {
  int threads = 1;   ///< of the OpenMP team that kernels use
  uint64_t seed = 0; ///< of dropout; DataOptions has that of the shuffle
  DataOptions data;
  std::string weights; ///< safetensors with initial values; empty: those that the plan names
  bool recordTimeline = false;
  bool profile = false; ///< add up the times of tasks
  /// What time lines of several ranks count from.
  Timeline::Clock::time_point timelineStart = Timeline::Clock::now();
  bool oneByOne = false;      ///< wait for each task before the next: a failure names its task
  std::string cudaLibraries;  ///< where NVIDIA's libraries are looked for first
  bool ranksShareGpu = false; ///< ranks are threads of this process on one GPU
  /// How long a rank alone waits for its GPU; of many ranks World says it.
  std::chrono::milliseconds timeout = std::chrono::hours(1);
  /// For tests: not 0: every task waits first, for a time that follows from this, rank and step.
  uint64_t delaySeed = 0;
};

class OutputFile;

/// Bytes of each rank's window of the World that a plan needs.
uint64_t jobWindowBytes(const planpb::Plan &plan);

/// What a step gave.
struct StepResult {
  uint64_t step = 0;       ///< from 1
  uint64_t updateStep = 0; ///< from 1: those before it that were skipped do not count
  double learningRate = 0;
  double seconds = 0; ///< wall time
  std::vector<std::pair<std::string, double>>
      metrics; ///< "loss", "grad_norm", ... in the plan's order

  /// The metric called `name`; null if the plan has none such.
  const double *find(const std::string &name) const;
};

/// Throws Error with ExitCode::Diverged, naming the step, if the loss is not finite or no loss
/// scale is left. The loss of a step that is skipped because gradients overflow may be anything.
void requireFiniteLoss(const StepResult &result);

/// Executes the training program of a plan as one rank, on the CPU or on a GPU.
///
/// Run state (Program.run_state), written in the order of stream 0 before each segment call:
///   random_counter  i64[3]  {seed, step from 0, micro-batch}
///   learning_rate   f64     of this step
///   update_step     i64     from 1: Adam's t. Steps that were skipped count in neither of the two
///   part            i64     the rank's part in the slot's axes
///
/// On a GPU the first step runs task by task, so that libraries load what they need. Then each
/// segment at each slot is captured, and later steps start it as a whole; what comes from the host
/// (run state and feeds) goes before it.
///
/// What goes wrong in a step ends the whole job: the reason goes to World::abort, so the others do
/// not wait for this rank.
class Executor {
public:
  /// Checks the plan, allocates its memory, reads weights, opens data, prepares kernels. `world`
  /// has the plan's ranks and windows of `jobWindowBytes(plan)`, and must outlive this; a plan for
  /// one rank needs none. Throws Error.
  Executor(planpb::Plan plan, const ExecutorOptions &options, World *world = nullptr, int rank = 0);
  ~Executor();
  Executor(const Executor &) = delete;
  Executor &operator=(const Executor &) = delete;

  /// Runs one step. Allocates nothing. Throws Error if data do not fit, naming step, file and
  /// sample, or if another rank failed or did not come (ExitCode::RankFailed), naming the task. The
  /// result stays valid until the next step.
  const StepResult &step();

  /// Writes the parameters of a plan for one rank as safetensors. Throws Error.
  void saveWeights(const std::string &path) const;
  /// Writes this rank's share of them (Weights.h). Throws Error.
  void saveWeights(OutputFile &file) const;

  const planpb::Plan &plan() const { return thePlan; }
  /// Bytes of all arenas.
  uint64_t plannedBytes() const { return memory->bytes(); }
  /// What is taken of a GPU's memory, between steps; nothing on the CPU.
  std::optional<DeviceBytes> deviceBytes() const { return device->bytes(); }
  /// When each task ran; null unless asked for.
  const Timeline *timeline() const { return recorder.get(); }
  /// Where the time went; null unless asked for.
  const Profile *profile() const { return profiler.get(); }
  /// What the device can do, between steps.
  MachinePeaks measurePeaks(int threads) const;
  /// Samples in an epoch; 0 if the inputs have none.
  uint64_t samples() const { return data->samples(); }

private:
  void initialise(const ExecutorOptions &options);
  void openDevice(const ExecutorOptions &options);
  void reserveStaging();
  void captureSegments();
  void issueCall(PreparedSegment &segment, uint32_t microBatch);
  void issue(const PreparedTask &task, uint32_t microBatch);
  void writeRunState(const PreparedSegment &segment, uint32_t microBatch) noexcept;
  template <typename Where, typename Action>
  void guard(const Where &where, const Action &action) noexcept;
  void run(const PreparedTask &task, uint32_t microBatch) noexcept;
  void note(const planpb::Task &task, uint32_t microBatch, Timeline::Clock::time_point begin,
            Timeline::Clock::time_point end) noexcept;
  void noteTimed();
  void start(const PreparedTask &task, uint32_t microBatch);
  void feed(const PreparedTask &task, uint32_t microBatch) noexcept;
  void readMetrics();
  uint64_t skippedSteps() const;
  void makeCommunicators(World &world);
  void copy(const PreparedTask &task);
  void collective(const PreparedTask &task);
  void fail(const std::string &message, ExitCode code) noexcept;
  void delay(uint32_t stream) noexcept;
  std::string describeStream(size_t index) const;

  /// Which of the micro-batch's samples a rank reads.
  struct Share {
    uint64_t ofAll = 0;  // samples of all ranks in a micro-batch
    uint64_t before = 0; // of these, those before this rank's
  };

  planpb::Plan thePlan;
  Mesh mesh;
  const planpb::Program *program = nullptr;
  uint64_t seed = 0;
  int rank = 0;
  World *world = nullptr;
  std::unique_ptr<World> ownWorld;        // of a plan for one rank with window arenas
  std::unique_ptr<Communicator> everyone; // in host memory; null: the device does not need it
  std::unique_ptr<Device> device;
  std::unique_ptr<Memory> memory;
  std::unique_ptr<DataSet> data;
  std::unique_ptr<LrSchedule> schedule;
  std::vector<Share> shares; // per input
  Communicators communicators;
  std::unique_ptr<PreparedProgram> prepared;
  bool isOneByOne = false;
  std::vector<uint64_t> delays; // per stream, state of random numbers; empty: no delays
  std::vector<std::unique_ptr<Event>> events;
  std::unique_ptr<Timeline> recorder;
  std::unique_ptr<Profile> profiler;
  struct Timed {
    const planpb::Task *task;
    uint32_t microBatch;
  };
  std::unique_ptr<TaskClock> clock; // of the device; null: tasks run when the host sees them run
  std::vector<Timed> timed;         // in this step, by the clock
  Timeline::Clock::time_point clockStart;
  StepResult result;

  std::atomic<bool> hasFailed = false;
  std::mutex failureMutex;
  std::exception_ptr failure;

  std::vector<std::unique_ptr<Stream>> streams; // last: joined before anything above goes
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_EXECUTOR_EXECUTOR_H
