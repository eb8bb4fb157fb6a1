//===- Prepare.h - tasks with kernels and addresses, ready to run -----------------------------===//

#ifndef DEEPSHARD_RUNTIME_EXECUTOR_PREPARE_H
#define DEEPSHARD_RUNTIME_EXECUTOR_PREPARE_H

#include "runtime/comm/Communicator.h"
#include "runtime/device/Device.h"
#include "runtime/kernels/Kernel.h"
#include "runtime/plan/Mesh.h"
#include "runtime/plan/plan.pb.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace deepshard::runtime {

class Executor;
class Memory;

/// A collective as a communicator takes it.
struct PreparedCollective {
  Communicator *communicator = nullptr;
  planpb::Collective::Kind kind = planpb::Collective::ALL_REDUCE;
  Reduction reduction = Reduction::Sum;
  DType type = DType::F32;
  int64_t outer = 1;     // dimensions before the one that is cut or joined
  int64_t middle = 1;    // all_to_all: between them
  int64_t inner = 1;     // behind; all_reduce and permute: all elements
  bool isForward = true; // all_to_all: cut before it is joined
  std::vector<int> sources;
};

/// A task as a stream runs it: nothing is left to look up.
struct PreparedTask {
  Executor *executor = nullptr;
  const planpb::Task *task = nullptr; // kind, stream, event, location
  Kernel *kernel = nullptr;           // launch
  std::vector<void *> inputs;         // launch; copy: from
  std::vector<void *> outputs;        // launch; copy: to; feed: to
  void *workspace = nullptr;
  const PreparedCollective *collective = nullptr;
};

/// A value that the runtime writes before a segment call.
struct PreparedState {
  std::string name;
  void *place = nullptr;
  int64_t part = 0; // "part": the rank's
};

/// A segment at one slot, with the addresses of the run state at that slot.
struct PreparedSegment {
  Executor *executor = nullptr;
  std::string name;
  std::vector<PreparedTask> tasks;
  std::vector<PreparedState> runState;
  std::unique_ptr<Graph> graph; // of all tasks but feeds; null: not captured
};

/// The communicators of a rank by the digits of their groups.
using Communicators = std::map<std::vector<Digit>, std::unique_ptr<Communicator>>;

/// All segments of a program, prepared. Kernels with equal specs on one stream are prepared once.
class PreparedProgram {
public:
  /// Throws an Error with every fault: kernels that `device` does not have or refuses, workspaces
  /// that do not suffice for `threads`.
  PreparedProgram(const planpb::Plan &plan, const planpb::Program &program, const Memory &memory,
                  Device &device, int threads, Executor *executor,
                  const Communicators &communicators);

  /// The segments in the order of the schedule.
  const std::vector<PreparedSegment *> &calls() const { return callOrder; }

private:
  Kernel *kernelFor(const planpb::Segment &segment, int index, std::vector<std::string> &faults);
  void reportFaults(const std::vector<std::string> &faults) const;
  std::string adviceOnWorkspaces() const;

  const planpb::Plan &plan;
  Device &device;
  int threads;
  const KernelProvider *shortOfWorkspace = nullptr; ///< one that needs more than was planned
  /// By stream, because a kernel runs on one thread at a time, and kernelKey.
  std::map<std::pair<uint32_t, std::string>, std::unique_ptr<Kernel>> kernels;
  std::map<const planpb::Task *, PreparedCollective> collectives;
  std::map<std::pair<uint32_t, uint32_t>, PreparedSegment> segments;
  std::vector<PreparedSegment *> callOrder;
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_EXECUTOR_PREPARE_H
