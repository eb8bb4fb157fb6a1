//===- Report.h - a plan as a page ------------------------------------------------------------===//

#ifndef DEEPSHARD_TOOLS_DSOPT_REPORT_H
#define DEEPSHARD_TOOLS_DSOPT_REPORT_H

#include "mlir/IR/BuiltinOps.h"

#include <string>

namespace deepshard {

namespace planpb {
class Plan;
}

/// The table of blocks of an annotated module, as HTML: the parameters of every block with their
/// layouts and bytes on a rank, the value that it hands on to the next, and what its forward and
/// backward receive over each axis in a micro-batch. Equal blocks (passes/planner/Fold.h) share a
/// row.
std::string blockTable(mlir::ModuleOp module);

/// Writes the page, which needs nothing besides: `blocks` as above, what a rank sends in a step by
/// axis and kind, and what the plan holds. Fails with a message if the file cannot be written.
llvm::LogicalResult writeReport(const std::string &path, const planpb::Plan &plan,
                                const std::string &blocks);

} // namespace deepshard

#endif // DEEPSHARD_TOOLS_DSOPT_REPORT_H
