//===- Layouts.h - the configuration's mesh and pins on the module ----------------------------===//

#ifndef DEEPSHARD_TOOLS_DSOPT_LAYOUTS_H
#define DEEPSHARD_TOOLS_DSOPT_LAYOUTS_H

#include "frontends/config/Config.h"

#include "mlir/IR/BuiltinOps.h"

namespace deepshard {

/// Adds the `sharding.mesh` of the configuration and `sharding.zero` to an imported module, and
/// gives the arguments of @forward the layouts that follow from it: inputs are cut along their
/// batch over "data" and along their sequence over "context", parameters as the first pin that
/// matches one of their names says; those without a pin get none. Reports pins that match no
/// parameter or do not fit one, and sequences that are not said or do not divide, all of them. A
/// mesh of one rank adds nothing.
llvm::LogicalResult pinLayouts(mlir::ModuleOp module, const TrainingConfig &config);

} // namespace deepshard

#endif // DEEPSHARD_TOOLS_DSOPT_LAYOUTS_H
