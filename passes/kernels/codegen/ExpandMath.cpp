//===- ExpandMath.cpp - functions of f32 become arithmetic ------------------------------------===//

#include "passes/kernels/codegen/Passes.h"

#include "passes/kernels/codegen/Functions.h"

#include "mlir/IR/TypeUtilities.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_EXPANDMATHPASS
#include "passes/kernels/codegen/Passes.h.inc"

namespace {

class Expansion {
public:
  explicit Expansion(bool isGpu) : isGpu(isGpu) {}

  /// What `op` computes, built before it; null if it has no expansion.
  Value expand(Operation *op);

private:
  Value expandFunction(Operation *op, Lanes &lanes);

  bool isGpu;
  llvm::DenseMap<Value, Value> rounded; // bf16 that this has made, as f32
};

Value Expansion::expand(Operation *op) {
  if (op->getNumResults() != 1)
    return nullptr;
  OpBuilder builder(op);
  Lanes lanes(builder, op->getLoc(), op->getResult(0).getType());
  lanes.hasExp2 = isGpu;
  auto isBf16 = [](Value value) { return getElementTypeOrSelf(value).isBF16(); };
  if (auto narrow = dyn_cast<arith::TruncFOp>(op)) {
    if (isGpu || !isBf16(narrow.getOut()))
      return nullptr;
    Value near = buildRoundToBf16(lanes, narrow.getIn());
    Value result = buildNarrowToBf16(lanes, near);
    rounded[result] = near;
    return result;
  }
  if (!getElementTypeOrSelf(op->getResult(0)).isF32())
    return nullptr;
  if (auto widen = dyn_cast<arith::ExtFOp>(op)) {
    if (isGpu || !isBf16(widen.getIn()))
      return nullptr;
    // What was rounded here is not unpacked again.
    Value known = rounded.lookup(widen.getIn());
    return known ? known : buildWidenBf16(lanes, widen.getIn());
  }
  return expandFunction(op, lanes);
}

Value Expansion::expandFunction(Operation *op, Lanes &lanes) {
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
        Value root = math::SqrtOp::create(lanes.builder, op->getLoc(), op->getOperand(0));
        return lanes.div(lanes.f32(1), root);
      })
      .Default(Value());
}

struct ExpandMath : impl::ExpandMathPassBase<ExpandMath> {
  using ExpandMathPassBase::ExpandMathPassBase;

  void runOnOperation() override {
    // Not by a driver that folds: constants would go through the libm of this machine.
    Expansion expansion(isGpu);
    getOperation()->walk<WalkOrder::PostOrder>([&](Operation *op) {
      if (Value result = expansion.expand(op)) {
        op->getResult(0).replaceAllUsesWith(result);
        op->erase();
      }
    });
  }
};

} // namespace
} // namespace deepshard
