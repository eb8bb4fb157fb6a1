//===- ElementwiseVjp.cpp - gradients of the elementwise ops ----------------------------------===//
//
// Kinks follow PyTorch: the derivative of |x| at 0 is 0, maximum and minimum split the cotangent
// evenly at a tie. `VjpBuilder::add` undoes broadcasting, so the rules of binary ops do not mention
// it.
//
//===------------------------------------------------------------------------------------------===//

#include "dialects/graph/Graph.h"
#include "dialects/graph/VjpBuilder.h"

#include <numbers>

using namespace mlir;

namespace deepshard::graph {

//===------------------------------------------------------------------------------------------===//
// One operand
//===------------------------------------------------------------------------------------------===//

LogicalResult NegOp::buildVjp(VjpBuilder &vjp) {
  vjp.add(0, vjp.make<NegOp>(vjp.cotangent(0)));
  return success();
}

LogicalResult AbsOp::buildVjp(VjpBuilder &vjp) {
  vjp.add(0, vjp.make<MulOp>(vjp.cotangent(0), vjp.make<SignOp>(getX())));
  return success();
}

/// A step function: its derivative is zero wherever it exists, nothing flows.
LogicalResult SignOp::buildVjp(VjpBuilder &) { return success(); }

/// A step function, as sign.
LogicalResult FloorOp::buildVjp(VjpBuilder &) { return success(); }

LogicalResult ExpOp::buildVjp(VjpBuilder &vjp) {
  vjp.add(0, vjp.make<MulOp>(vjp.cotangent(0), getY()));
  return success();
}

LogicalResult LogOp::buildVjp(VjpBuilder &vjp) {
  vjp.add(0, vjp.make<DivOp>(vjp.cotangent(0), getX()));
  return success();
}

/// dy / (2 y)
LogicalResult SqrtOp::buildVjp(VjpBuilder &vjp) {
  Value twice = vjp.make<MulOp>(getY(), vjp.scalar(getY(), 2));
  vjp.add(0, vjp.make<DivOp>(vjp.cotangent(0), twice));
  return success();
}

/// -dy / 2 y^3
LogicalResult RsqrtOp::buildVjp(VjpBuilder &vjp) {
  Value cube = vjp.make<MulOp>(vjp.make<MulOp>(getY(), getY()), getY());
  Value half = vjp.make<MulOp>(vjp.cotangent(0), vjp.scalar(getY(), -0.5));
  vjp.add(0, vjp.make<MulOp>(half, cube));
  return success();
}

/// -dy y^2
LogicalResult ReciprocalOp::buildVjp(VjpBuilder &vjp) {
  Value square = vjp.make<MulOp>(getY(), getY());
  vjp.add(0, vjp.make<MulOp>(vjp.make<NegOp>(vjp.cotangent(0)), square));
  return success();
}

LogicalResult SinOp::buildVjp(VjpBuilder &vjp) {
  vjp.add(0, vjp.make<MulOp>(vjp.cotangent(0), vjp.make<CosOp>(getX())));
  return success();
}

LogicalResult CosOp::buildVjp(VjpBuilder &vjp) {
  Value sine = vjp.make<NegOp>(vjp.make<SinOp>(getX()));
  vjp.add(0, vjp.make<MulOp>(vjp.cotangent(0), sine));
  return success();
}

/// dy (1 - y^2)
LogicalResult TanhOp::buildVjp(VjpBuilder &vjp) {
  Value slope = vjp.make<SubOp>(vjp.scalar(getY(), 1), vjp.make<MulOp>(getY(), getY()));
  vjp.add(0, vjp.make<MulOp>(vjp.cotangent(0), slope));
  return success();
}

/// dy 2 / sqrt(pi) exp(-x^2)
LogicalResult ErfOp::buildVjp(VjpBuilder &vjp) {
  Value bell = vjp.make<ExpOp>(vjp.make<NegOp>(vjp.make<MulOp>(getX(), getX())));
  Value slope = vjp.make<MulOp>(bell, vjp.scalar(getX(), 2 * std::numbers::inv_sqrtpi));
  vjp.add(0, vjp.make<MulOp>(vjp.cotangent(0), slope));
  return success();
}

/// dy / sqrt(2 pi) exp(-x^2 / 2)
LogicalResult NdtrOp::buildVjp(VjpBuilder &vjp) {
  Value half = vjp.make<MulOp>(getX(), vjp.scalar(getX(), -0.5));
  Value bell = vjp.make<ExpOp>(vjp.make<MulOp>(half, getX()));
  constexpr double kPeak = std::numbers::inv_sqrtpi / std::numbers::sqrt2;
  Value slope = vjp.make<MulOp>(bell, vjp.scalar(getX(), kPeak));
  vjp.add(0, vjp.make<MulOp>(vjp.cotangent(0), slope));
  return success();
}

/// dy y (1 - y)
LogicalResult SigmoidOp::buildVjp(VjpBuilder &vjp) {
  Value slope = vjp.make<MulOp>(getY(), vjp.make<SubOp>(vjp.scalar(getY(), 1), getY()));
  vjp.add(0, vjp.make<MulOp>(vjp.cotangent(0), slope));
  return success();
}

LogicalResult ConvertOp::buildVjp(VjpBuilder &vjp) {
  vjp.add(0, vjp.convert(vjp.cotangent(0), getX().getType().getElementType()));
  return success();
}

LogicalResult GeluOp::buildVjp(VjpBuilder &vjp) {
  vjp.add(0, vjp.make<GeluGradOp>(vjp.cotangent(0), getX(), getTanh()));
  return success();
}

//===------------------------------------------------------------------------------------------===//
// Two or three operands
//===------------------------------------------------------------------------------------------===//

LogicalResult AddOp::buildVjp(VjpBuilder &vjp) {
  vjp.add(0, vjp.cotangent(0));
  vjp.add(1, vjp.cotangent(0));
  return success();
}

LogicalResult SubOp::buildVjp(VjpBuilder &vjp) {
  vjp.add(0, vjp.cotangent(0));
  if (vjp.wants(1))
    vjp.add(1, vjp.make<NegOp>(vjp.cotangent(0)));
  return success();
}

LogicalResult MulOp::buildVjp(VjpBuilder &vjp) {
  if (vjp.wants(0))
    vjp.add(0, vjp.make<MulOp>(vjp.cotangent(0), getRhs()));
  if (vjp.wants(1))
    vjp.add(1, vjp.make<MulOp>(vjp.cotangent(0), getLhs()));
  return success();
}

/// dy / b and -dy (a / b) / b: dividing twice does not overflow where b^2 would.
LogicalResult DivOp::buildVjp(VjpBuilder &vjp) {
  if (vjp.wants(0))
    vjp.add(0, vjp.make<DivOp>(vjp.cotangent(0), getRhs()));
  if (vjp.wants(1)) {
    Value slope = vjp.make<DivOp>(vjp.make<DivOp>(getLhs(), getRhs()), getRhs());
    vjp.add(1, vjp.make<MulOp>(vjp.make<NegOp>(vjp.cotangent(0)), slope));
  }
  return success();
}

/// b a^(b - 1), and 0 where b = 0.
static Value powBaseSlope(VjpBuilder &vjp, Value base, Value exponent) {
  Value zero = vjp.scalar(base, 0);
  Value lower = vjp.make<SubOp>(exponent, vjp.scalar(base, 1));
  Value slope = vjp.make<MulOp>(exponent, vjp.make<PowOp>(base, lower));
  return vjp.make<SelectOp>(vjp.make<CompareOp>("eq", exponent, zero), zero, slope);
}

/// a^b log a, and 0 where a = 0 and b >= 0.
static Value powExponentSlope(VjpBuilder &vjp, Value base, Value exponent) {
  Value zero = vjp.scalar(base, 0);
  Value slope = vjp.make<MulOp>(vjp.make<PowOp>(base, exponent), vjp.make<LogOp>(base));
  Value flat = vjp.make<AndOp>(vjp.make<CompareOp>("eq", base, zero),
                               vjp.make<CompareOp>("ge", exponent, zero));
  return vjp.make<SelectOp>(flat, zero, slope);
}

LogicalResult PowOp::buildVjp(VjpBuilder &vjp) {
  if (vjp.wants(0))
    vjp.add(0, vjp.make<MulOp>(vjp.cotangent(0), powBaseSlope(vjp, getLhs(), getRhs())));
  if (vjp.wants(1))
    vjp.add(1, vjp.make<MulOp>(vjp.cotangent(0), powExponentSlope(vjp, getLhs(), getRhs())));
  return success();
}

/// The cotangent where an operand was chosen, half of it where the two are equal, 0 where `lost`
/// holds.
static Value chosenShare(VjpBuilder &vjp, StringRef lost, Value operand, Value other) {
  Value half = vjp.make<MulOp>(vjp.cotangent(0), vjp.scalar(operand, 0.5));
  Value share =
      vjp.make<SelectOp>(vjp.make<CompareOp>("eq", operand, other), half, vjp.cotangent(0));
  return vjp.make<SelectOp>(vjp.make<CompareOp>(lost, operand, other), vjp.scalar(operand, 0),
                            share);
}

LogicalResult MaximumOp::buildVjp(VjpBuilder &vjp) {
  if (vjp.wants(0))
    vjp.add(0, chosenShare(vjp, "lt", getLhs(), getRhs()));
  if (vjp.wants(1))
    vjp.add(1, chosenShare(vjp, "lt", getRhs(), getLhs()));
  return success();
}

LogicalResult MinimumOp::buildVjp(VjpBuilder &vjp) {
  if (vjp.wants(0))
    vjp.add(0, chosenShare(vjp, "gt", getLhs(), getRhs()));
  if (vjp.wants(1))
    vjp.add(1, chosenShare(vjp, "gt", getRhs(), getLhs()));
  return success();
}

/// A select, not a product with the mask: what was not taken may be infinite.
LogicalResult SelectOp::buildVjp(VjpBuilder &vjp) {
  Value dy = vjp.cotangent(0);
  if (vjp.wants(1))
    vjp.add(1, vjp.make<SelectOp>(getPredicate(), dy, vjp.scalar(dy, 0)));
  if (vjp.wants(2))
    vjp.add(2, vjp.make<SelectOp>(getPredicate(), vjp.scalar(dy, 0), dy));
  return success();
}

} // namespace deepshard::graph
