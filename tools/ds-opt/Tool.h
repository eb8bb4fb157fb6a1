//===- Tool.h - the two tools inside ds-opt ---------------------------------------------------===//

#ifndef DEEPSHARD_TOOLS_DSOPT_TOOL_H
#define DEEPSHARD_TOOLS_DSOPT_TOOL_H

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace deepshard {

/// All dialects that occur on the way from model to plan.
void registerDialects(mlir::DialectRegistry &registry);

/// Runs passes on an MLIR file, as mlir-opt does. Returns the exit code.
int runPasses(int argc, char **argv);

/// Plans a model (design section 10). Returns the exit code.
int planModel(int argc, char **argv);

} // namespace deepshard

#endif // DEEPSHARD_TOOLS_DSOPT_TOOL_H
