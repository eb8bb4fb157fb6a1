//===- Explanation.h - why layouts were chosen ------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_PLANNER_EXPLANATION_H
#define DEEPSHARD_PASSES_PLANNER_EXPLANATION_H

#include "passes/planner/LayoutNetwork.h"

namespace deepshard {

/// Remarks of category "search": what a step takes, and every decision (LayoutNetwork.h) with what
/// is spent at it, the next best choice and what that costs more, everything else chosen anew
/// around it; for attention over a split sequence also whether it splits heads or goes round. Of
/// equal blocks (Fold.h) the first is explained. Nothing is done if nobody listens.
void explainLayouts(mlir::func::FuncOp function, const LayoutNetwork &layouts,
                    const CostNetwork::Solution &best);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLANNER_EXPLANATION_H
