//===- Explanation.h - why layouts were chosen, and why others were not -----------------------===//

#ifndef DEEPSHARD_PASSES_PLANNER_EXPLANATION_H
#define DEEPSHARD_PASSES_PLANNER_EXPLANATION_H

#include "passes/planner/LayoutNetwork.h"

namespace deepshard {

/// Remarks of category "search": what a step takes, and for every parameter its layout, the next
/// best one and what that costs more, everything else chosen anew around it; for attention over a
/// split sequence whether it splits heads or goes round. Of equal blocks
/// (Fold.h) the first is explained. Nothing is done if nobody listens.
void explainLayouts(mlir::func::FuncOp function, const LayoutNetwork &layouts,
                    const CostNetwork::Solution &best);

/// Answers `question`, PATTERN=DIMENSIONS: what a step would take if the parameters whose names
/// match the pattern had that layout, and what else would change. DIMENSIONS is JSON as in
/// `deepshard.pins`: one entry per dimension, null, an axis or a list of axes. The answer is a
/// remark at the function; a question that cannot be asked is an error.
llvm::LogicalResult answerWhyNot(mlir::func::FuncOp function, const LayoutNetwork &layouts,
                                 const CostNetwork::Solution &best, llvm::StringRef question);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLANNER_EXPLANATION_H
