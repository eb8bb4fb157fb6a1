//===- Serialize.h - the plan dialect becomes a plan file's content ---------------------------===//

#ifndef DEEPSHARD_PASSES_PLAN_SERIALIZE_H
#define DEEPSHARD_PASSES_PLAN_SERIALIZE_H

#include "dialects/plan/Plan.h"
#include "runtime/plan/plan.pb.h"

namespace deepshard {

/// Adds `program` (packed: all buffers have offsets) to `plan`: buffers, segments, schedule,
/// tables, inputs, files and FLOPs. What concerns the plan as a whole (batch, schedule of the
/// learning rate, hashes) is the caller's. Fails with a diagnostic if a file of initial values
/// cannot be found.
llvm::LogicalResult serialize(plan::ProgramOp program, planpb::Plan &plan);

/// Module path and source line of a location: "h.0.attn (modeling_gpt2.py:123)".
std::string locationText(mlir::Location location);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLAN_SERIALIZE_H
