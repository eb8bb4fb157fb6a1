//===- LayoutCandidates.h - the ways in which an op can be split ------------------------------===//

#ifndef DEEPSHARD_PASSES_PLANNER_LAYOUTCANDIDATES_H
#define DEEPSHARD_PASSES_PLANNER_LAYOUTCANDIDATES_H

#include "passes/sharding/OpLayouts.h"

namespace deepshard {

/// One way to split an op: how its operands have to lie and how its results come out of it.
struct Candidate {
  llvm::SmallVector<Axes> factors;
  llvm::SmallVector<sharding::LayoutAttr> operands, results;
};

/// How an op is split over the axes that are not searched.
struct FixedSplit {
  llvm::SmallVector<Axes> factors;
  llvm::SmallVector<sharding::LayoutAttr> operands; // as they lie
};

/// All ways to add the `free` axes to what is fixed: each splits a factor whose size it divides, or
/// none; an axis that splits none may carry summands through the op, if its rule says so. The first
/// is the one without any of them. An axis goes behind those that split its factor already, so
/// every order of two free axes on one factor but that of the mesh is left out.
llvm::SmallVector<Candidate> candidatesOf(mlir::Operation *op, const graph::ShardingRule &rule,
                                          const FixedSplit &fixed,
                                          llvm::ArrayRef<sharding::AxisRefAttr> free,
                                          mlir::FlatSymbolRefAttr mesh, sharding::MeshAttr grid);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLANNER_LAYOUTCANDIDATES_H
