//===- Liveness.h - when the buffers of a step live -------------------------------------------===//
//
// Time is the position of a task, counted through the segments in the order of their first calls:
// transient buffers of different segments never live together. The tasks of the compute stream run
// in this order. A task of another stream begins no earlier than its position, since it waits for
// the compute stream (synchronize-streams), and is over where the compute stream has waited for an
// event recorded behind it: until there its buffers live.
//
// A step buffer may carry a value from one call to another: it lives through every call between
// the first and the last that touch it.
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

/// The segments in the order of their first calls, behind them those that are never called.
llvm::SmallVector<plan::SegmentOp> segmentsInOrder(plan::ProgramOp program);

/// From the first to the last task that touches a transient or a step buffer, in the order of the
/// first. Step buffers that the runtime reads after the step (metrics) or that are touched outside
/// the schedule are left out: they live always. Sizes are multiples of the largest
/// alignment, so that every offset is aligned.
using Lifetimes = llvm::MapVector<plan::BufferOp, Block>;
Lifetimes lifetimesOf(plan::ProgramOp program);

/// The buffer behind a view.
inline plan::BufferOp bufferOf(mlir::Value view) {
  auto op = view.getDefiningOp<plan::ViewOp>();
  return op ? op.getBuffer().getDefiningOp<plan::BufferOp>() : plan::BufferOp();
}

} // namespace deepshard

#endif // DEEPSHARD_PASSES_MEMORY_LIVENESS_H
