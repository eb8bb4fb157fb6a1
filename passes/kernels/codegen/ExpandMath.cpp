//===- ExpandMath.cpp - functions of f32 become arithmetic ------------------------------------===//

#include "passes/kernels/codegen/Passes.h"

#include "passes/kernels/codegen/Functions.h"

#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/TypeUtilities.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_EXPANDMATHPASS
#include "passes/kernels/codegen/Passes.h.inc"

namespace {

/// What `op` computes, built before it; null if it has no expansion.
Value expand(Operation *op, bool isGpu) {
  if (op->getNumResults() != 1 || !getElementTypeOrSelf(op->getResult(0)).isF32())
    return nullptr;
  OpBuilder builder(op);
  Lanes lanes(builder, op->getLoc(), op->getResult(0).getType());
  lanes.hasExp2 = isGpu;
  auto unary = [&](Value (*build)(Lanes &, Value)) { return build(lanes, op->getOperand(0)); };
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case([&](math::ExpOp) { return unary(buildExp); })
      .Case([&](math::LogOp) { return unary(buildLog); })
      .Case([&](math::TanhOp) { return unary(buildTanh); })
      .Case([&](math::ErfOp) { return unary(buildErf); })
      .Case([&](math::SinOp) { return unary(buildSin); })
      .Case([&](math::CosOp) { return unary(buildCos); })
      .Case([&](math::PowFOp power) { return buildPow(lanes, power.getLhs(), power.getRhs()); })
      .Case([&](math::RsqrtOp) {
        Value root = math::SqrtOp::create(builder, op->getLoc(), op->getOperand(0));
        return lanes.div(lanes.f32(1), root);
      })
      .Default(Value());
}

struct ExpandMath : impl::ExpandMathPassBase<ExpandMath> {
  using ExpandMathPassBase::ExpandMathPassBase;

  void runOnOperation() override {
    // Not by a driver that folds: constants would go through the libm of this machine.
    getOperation()->walk<WalkOrder::PostOrder>([&](Operation *op) {
      if (Value result = expand(op, isGpu)) {
        op->getResult(0).replaceAllUsesWith(result);
        op->erase();
      }
    });
    if (isGpu)
      return;
    RewritePatternSet patterns(&getContext());
    arith::populateExpandBFloat16Patterns(patterns);
    walkAndApplyPatterns(getOperation(), std::move(patterns));
  }
};

} // namespace
} // namespace deepshard
