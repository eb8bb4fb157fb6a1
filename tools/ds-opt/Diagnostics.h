//===- Diagnostics.h - diagnostics as users read them -----------------------------------------===//

#ifndef DEEPSHARD_TOOLS_DSOPT_DIAGNOSTICS_H
#define DEEPSHARD_TOOLS_DSOPT_DIAGNOSTICS_H

#include "mlir/IR/Diagnostics.h"

namespace deepshard {

/// Prints diagnostics of the compiler on standard error: severity, message, then module path and
/// source line.
class UserDiagnostics : public mlir::ScopedDiagnosticHandler {
public:
  explicit UserDiagnostics(mlir::MLIRContext *context);
};

/// Prints the remarks of the passes on standard error, a line each: category, module path and
/// source line, message.
void explainDecisions(mlir::MLIRContext &context);

} // namespace deepshard

#endif // DEEPSHARD_TOOLS_DSOPT_DIAGNOSTICS_H
