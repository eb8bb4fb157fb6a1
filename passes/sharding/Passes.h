//===- Passes.h - from whole tensors to the pieces of each rank -------------------------------===//

#ifndef DEEPSHARD_PASSES_SHARDING_PASSES_H
#define DEEPSHARD_PASSES_SHARDING_PASSES_H

#include "mlir/Pass/Pass.h"

namespace mlir {
class ModuleOp;
namespace func {
class FuncOp;
} // namespace func
} // namespace mlir

namespace deepshard {

#define GEN_PASS_DECL
#include "passes/sharding/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/sharding/Passes.h.inc"

} // namespace deepshard

#endif // DEEPSHARD_PASSES_SHARDING_PASSES_H
