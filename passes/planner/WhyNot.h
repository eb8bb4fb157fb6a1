//===- WhyNot.h - what other layouts would cost -----------------------------------------------===//

#ifndef DEEPSHARD_PASSES_PLANNER_WHYNOT_H
#define DEEPSHARD_PASSES_PLANNER_WHYNOT_H

#include "passes/planner/LayoutNetwork.h"

namespace deepshard {

/// Answers a question: what a step would take if parameters had other layouts, and what else would
/// change; everything else is searched again around them. The answer is a remark at the function; a
/// question that cannot be asked is an error. Questions are of two forms:
///
///   PATTERN=DIMENSIONS     the parameters whose names match the pattern, as in `deepshard.pins`:
///                          `*` and `?` stand for any text and one character; DIMENSIONS is JSON
///                          with one entry per dimension: null, an axis or a list of axes
///   [AXIS.]MODULE=SPLIT    the weights of a module, named by any part of the path between dots
///                          (h.3.mlp; patterns too), split over the axis in Megatron's terms:
///                          "column" the output features, "row" the input features, "whole" none.
///                          The axis may be left out if only one is searched.
llvm::LogicalResult answerWhyNot(mlir::func::FuncOp function, const LayoutNetwork &layouts,
                                 const CostNetwork::Solution &best, llvm::StringRef question);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLANNER_WHYNOT_H
