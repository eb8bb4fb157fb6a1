//===- CheapRecompute.h - what is cheaper to compute again than to keep -----------------------===//

#ifndef DEEPSHARD_PASSES_PLANNER_CHEAPRECOMPUTE_H
#define DEEPSHARD_PASSES_PLANNER_CHEAPRECOMPUTE_H

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace deepshard {

/// The forward ops to compute again so that (bytes kept for the backward) + (bytes moved to compute
/// again) / `movedPerKept` is smallest. Never a contraction: matmul, linear, convolution and
/// attention do more work per byte of their result than anything else.
llvm::SmallVector<mlir::Operation *> cheapToRecompute(mlir::func::FuncOp function,
                                                      int64_t movedPerKept);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLANNER_CHEAPRECOMPUTE_H
