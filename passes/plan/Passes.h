//===- Passes.h - passes that make the program of a rank --------------------------------------===//

#ifndef DEEPSHARD_PASSES_PLAN_PASSES_H
#define DEEPSHARD_PASSES_PLAN_PASSES_H

#include "dialects/graph/Graph.h"
#include "dialects/plan/Plan.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace deepshard {

#define GEN_PASS_DECL
#include "passes/plan/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/plan/Passes.h.inc"

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLAN_PASSES_H
