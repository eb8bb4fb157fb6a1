//===- FeatureDimensions.h - which dimensions of a weight are input and output features -------===//
//
// Megatron's terms for how a weight is split (Shoeybi et al., arXiv 1909.08053): over the output
// features "by columns", over the input features "by rows". The graph says which is which: what a
// product sums over are input features, what its result has from the weight alone are output
// features.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_PLANNER_FEATUREDIMENSIONS_H
#define DEEPSHARD_PASSES_PLANNER_FEATUREDIMENSIONS_H

#include "mlir/IR/Value.h"

namespace deepshard {

/// Dimensions of a parameter, ascending. Those of a bias or a norm that follow the activations that
/// it is added to or multiplied with are neither; those of a bias that a product takes itself are
/// output features.
struct FeatureDimensions {
  llvm::SmallVector<unsigned, 2> input, output;
};

/// Of the ops that read the parameter in the forward, also through views of it. O(readers).
FeatureDimensions featureDimensions(mlir::BlockArgument parameter);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLANNER_FEATUREDIMENSIONS_H
