//===- Run.h - a training run -----------------------------------------------------------------===//

#ifndef DEEPSHARD_TOOLS_DS_RUN_RUN_H
#define DEEPSHARD_TOOLS_DS_RUN_RUN_H

#include "runtime/plan/Error.h"
#include "tools/ds-run/Options.h"

namespace deepshard {

/// Checks or executes a plan as the command line says. Returns Done or Interrupted; throws
/// runtime::Error.
runtime::ExitCode run(const RunOptions &options);

} // namespace deepshard

#endif // DEEPSHARD_TOOLS_DS_RUN_RUN_H
