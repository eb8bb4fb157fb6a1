//===- SimplifyLayout.cpp - views and transposes that a later op can do without ---------------===//
//
// A greedy fixed point over local patterns. Each removes an op, composes two, or moves a flattening
// of leading dimensions towards the end of the program, never back; so it ends, after a number of
// rewrites linear in the ops.
//
//===------------------------------------------------------------------------------------------===//

#include "passes/simplify/Passes.h"

#include "dialects/graph/Graph.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/simplify/Patterns.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_SIMPLIFYLAYOUTPASS
#include "passes/simplify/Passes.h.inc"

namespace {

struct SimplifyLayout : impl::SimplifyLayoutPassBase<SimplifyLayout> {
  LogicalResult initialize(MLIRContext *context) override {
    RewritePatternSet set(context);
    addViewPatterns(set);
    addLinearPatterns(set);
    patterns = std::move(set);
    return success();
  }

  void runOnOperation() override {
    // A flattening passes one op per rewrite, so a chain may need more sweeps than the default of
    // ten.
    GreedyRewriteConfig config;
    config.setMaxIterations(GreedyRewriteConfig::kNoLimit);
    if (failed(applyPatternsGreedily(getOperation(), patterns, config)))
      signalPassFailure();
  }

  FrozenRewritePatternSet patterns;
};

} // namespace
} // namespace deepshard
