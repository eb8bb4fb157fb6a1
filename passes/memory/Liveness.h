//===- Liveness.h - when the transient buffers of a program live ------------------------------===//
//
// Time is the position of a task, counted through the segments one after another: transient buffers
// of different segments never live together. The tasks of the compute stream run in this order. A
// task of another stream begins no earlier than its position, since it waits for the compute stream
// (synchronize-streams), and is over where the compute stream has waited for an event recorded
// behind it: until there its buffers live.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_MEMORY_LIVENESS_H
#define DEEPSHARD_PASSES_MEMORY_LIVENESS_H

#include "dialects/plan/Plan.h"
#include "passes/memory/Packing.h"

#include "llvm/ADT/MapVector.h"

namespace deepshard {

/// Buffers begin and end at multiples of so many bytes.
constexpr int64_t kGranularity = 64;

/// From the first to the last task that touches a transient buffer, in the order of the first.
/// Sizes are rounded so that every offset is aligned.
using Lifetimes = llvm::MapVector<plan::BufferOp, Block>;
Lifetimes lifetimesOf(plan::ProgramOp program);

/// The buffer behind a view.
inline plan::BufferOp bufferOf(mlir::Value view) {
  auto op = view.getDefiningOp<plan::ViewOp>();
  return op ? op.getBuffer().getDefiningOp<plan::BufferOp>() : plan::BufferOp();
}

} // namespace deepshard

#endif // DEEPSHARD_PASSES_MEMORY_LIVENESS_H
