//===- SavedValues.h - what the forward leaves for the backward -------------------------------===//
//
// A forward value that the backward reads lives from the one to the other: it is saved. Where ops
// are marked `graph.recompute` it is computed again instead, and what that needs is saved.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_PLANNER_SAVEDVALUES_H
#define DEEPSHARD_PASSES_PLANNER_SAVEDVALUES_H

#include "dialects/graph/Graph.h"
#include "dialects/sharding/Sharding.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/SetVector.h"

namespace deepshard {

/// Whether `graph.phase` of an op is "forward" or "backward".
bool isForward(mlir::Operation *op);
bool isBackward(mlir::Operation *op);

struct SavedValues {
  llvm::SetVector<mlir::Value> kept; ///< results of forward ops; not views, not constants
  llvm::SetVector<mlir::Operation *> recomputed; ///< marked ops that the backward needs
};

/// Of a function with its gradients; `honoursMarks` false: as if nothing were marked.
SavedValues savedValues(mlir::func::FuncOp function, bool honoursMarks);

/// Sizes and work of a rank: where values have layouts (`sharding.layouts`) over the mesh of the
/// module, of its piece; else of the whole.
class LocalSizes {
public:
  explicit LocalSizes(mlir::Operation *from);

  int64_t bytes(mlir::Value value) const;
  /// Zero for views.
  graph::OpCost cost(mlir::Operation *op) const;

private:
  sharding::MeshAttr mesh; // null if there is none
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLANNER_SAVEDVALUES_H
