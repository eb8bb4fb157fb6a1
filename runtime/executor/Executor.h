//===- Executor.h - one rank: loads a plan and walks its schedule -----------------------------===//

#ifndef DEEPSHARD_RUNTIME_EXECUTOR_EXECUTOR_H
#define DEEPSHARD_RUNTIME_EXECUTOR_EXECUTOR_H

#include "runtime/data/DataSet.h"
#include "runtime/device/Stream.h"
#include "runtime/executor/LrSchedule.h"
#include "runtime/executor/Memory.h"
#include "runtime/executor/Prepare.h"
#include "runtime/plan/plan.pb.h"
#include "runtime/trace/Timeline.h"

#include <atomic>
#include <cstdint>
#include <deque>
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
};

/// What a step gave.
struct StepResult {
  uint64_t step = 0; ///< from 1
  double learningRate = 0;
  double seconds = 0; ///< wall time
  std::vector<std::pair<std::string, double>>
      metrics; ///< "loss", "grad_norm", ... in the plan's order

  /// The metric called `name`; null if the plan has none such.
  const double *find(const std::string &name) const;
};

/// Throws Error with ExitCode::Diverged, naming the step, if the loss is not finite.
void requireFiniteLoss(const StepResult &result);

/// Executes the training program of a plan on one CPU rank.
///
/// Run state (Program.run_state), written in the order of stream 0 before each segment call:
///   random_counter  i64[3]  {seed, step from 0, micro-batch}
///   learning_rate   f64     of this step
///   update_step     i64     from 1: Adam's t
class Executor {
public:
  /// Checks the plan, allocates its memory, reads weights, opens data, prepares kernels. Throws
  /// Error.
  Executor(planpb::Plan plan, const ExecutorOptions &options);
  ~Executor();
  Executor(const Executor &) = delete;
  Executor &operator=(const Executor &) = delete;

  /// Runs one step. Allocates nothing. Throws Error if data do not fit, naming step, file and
  /// sample. The result stays valid until the next step.
  const StepResult &step();

  /// Writes the parameters as safetensors. Throws Error.
  void saveWeights(const std::string &path) const;

  const planpb::Plan &plan() const { return thePlan; }
  /// Bytes of all arenas.
  uint64_t plannedBytes() const { return memory->bytes(); }
  /// When each task ran; null unless asked for.
  const Timeline *timeline() const { return recorder.get(); }
  /// Samples in an epoch; 0 if the inputs have none.
  uint64_t samples() const { return data->samples(); }

private:
  void initialise(const ExecutorOptions &options);
  void issue(const PreparedTask &task, uint32_t microBatch);
  void writeRunState(const PreparedSegment &segment, uint32_t microBatch) noexcept;
  void run(const PreparedTask &task, uint32_t microBatch) noexcept;
  void feed(const PreparedTask &task, uint32_t microBatch) noexcept;
  void readMetrics();

  planpb::Plan thePlan;
  Mesh mesh;
  const planpb::Program *program = nullptr;
  uint64_t seed = 0;
  std::unique_ptr<Memory> memory;
  std::unique_ptr<DataSet> data;
  std::unique_ptr<LrSchedule> schedule;
  std::unique_ptr<PreparedProgram> prepared;
  std::deque<Event> events;
  std::unique_ptr<Timeline> recorder;
  StepResult result;

  std::atomic<bool> hasFailed = false;
  std::mutex failureMutex;
  std::exception_ptr failure;

  std::vector<std::unique_ptr<Stream>> streams; // last: joined before anything above goes
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_EXECUTOR_EXECUTOR_H
