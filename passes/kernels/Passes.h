//===- Passes.h - passes that choose kernels --------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_KERNELS_PASSES_H
#define DEEPSHARD_PASSES_KERNELS_PASSES_H

#include "dialects/graph/Graph.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace deepshard {

#define GEN_PASS_DECL
#include "passes/kernels/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/kernels/Passes.h.inc"

} // namespace deepshard

#endif // DEEPSHARD_PASSES_KERNELS_PASSES_H
