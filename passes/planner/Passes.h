//===- Passes.h - what is decided -------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_PLANNER_PASSES_H
#define DEEPSHARD_PASSES_PLANNER_PASSES_H

#include "dialects/graph/Graph.h"
#include "dialects/sharding/Sharding.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace deepshard {

#define GEN_PASS_DECL
#include "passes/planner/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/planner/Passes.h.inc"

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLANNER_PASSES_H
