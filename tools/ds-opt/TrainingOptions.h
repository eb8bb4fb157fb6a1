//===- TrainingOptions.h - the configuration on the module and in the plan --------------------===//

#ifndef DEEPSHARD_TOOLS_DSOPT_TRAININGOPTIONS_H
#define DEEPSHARD_TOOLS_DSOPT_TRAININGOPTIONS_H

#include "frontends/config/Config.h"
#include "runtime/plan/plan.pb.h"

#include "mlir/IR/BuiltinOps.h"

namespace deepshard {

/// Writes the options that passes read as module attributes (GraphDialect.td lists them).
void annotate(mlir::ModuleOp module, const TrainingConfig &config);

/// Fills what the runtime needs of the configuration: batch sizes, learning rate and its schedule.
void describe(const TrainingConfig &config, planpb::Plan &plan);

} // namespace deepshard

#endif // DEEPSHARD_TOOLS_DSOPT_TRAININGOPTIONS_H
