//===- Passes.h - passes that choose kernels -----------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_KERNELS_PASSES_H
#define DEEPSHARD_PASSES_KERNELS_PASSES_H

#include "dialects/graph/Graph.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace deepshard {

/// The provider that `choose-kernels` gave to an op.
inline constexpr llvm::StringLiteral kProviderAttr = "graph.provider";

#define GEN_PASS_DECL
#include "passes/kernels/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/kernels/Passes.h.inc"

} // namespace deepshard

#endif // DEEPSHARD_PASSES_KERNELS_PASSES_H
