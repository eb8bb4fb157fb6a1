//===- Passes.h - passes that place buffers ---------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_MEMORY_PASSES_H
#define DEEPSHARD_PASSES_MEMORY_PASSES_H

#include "dialects/plan/Plan.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace deepshard {

#define GEN_PASS_DECL
#include "passes/memory/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/memory/Passes.h.inc"

} // namespace deepshard

#endif // DEEPSHARD_PASSES_MEMORY_PASSES_H
