//===- GeluDecompose.cpp - gelu and its gradient as primitives --------------------------------===//

#include "dialects/graph/PrimitiveBuilder.h"

#include <numbers>

using namespace mlir;

namespace deepshard::graph {

namespace {

constexpr double kCubic = 0.044715;
/// Of an x so large that e^-2|u| is 0 in f64 too: where x^2 is larger, it only overflows.
constexpr double kFarSquare = 900;
constexpr double kSqrtTwoOverPi = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;

/// 2u = 2 sqrt(2/pi) (x + 0.044715 x^3).
Value twoU(PrimitiveBuilder &b, Value x, Value square) {
  return b.mul(b.mul(x, b.add(b.mul(square, kCubic), 1.0)), 2.0 * kSqrtTwoOverPi);
}

} // namespace

FailureOr<SmallVector<Value>> GeluOp::decompose(OpBuilder &builder) {
  PrimitiveBuilder b(builder, getLoc());
  Value x = getX();
  Value gate = getTanh() ? b.sigmoid(twoU(b, x, b.mul(x, x))) : b.ndtr(x);
  return SmallVector<Value>{b.mul(x, gate)};
}

FailureOr<SmallVector<Value>> GeluGradOp::decompose(OpBuilder &builder) {
  PrimitiveBuilder b(builder, getLoc());
  Value x = getX(), square = b.mul(x, x), gate, slope;
  if (getTanh()) {
    // gate = s(2u) = 1 / (1 + e) with e = exp(-2u), slope = s(2u) s(-2u) (2u)'. s(-2u) is 1 - gate,
    // or e gate where that would cancel; e overflows only where it is not wanted.
    square = b.minimum(square, b.scalarLike(x, kFarSquare));
    Value one = b.scalarLike(x, 1.0), e = b.exp(b.neg(twoU(b, x, square)));
    gate = b.div(one, b.add(e, 1.0));
    Value rest =
        b.select(b.compare("lt", gate, b.scalarLike(x, 0.5)), b.sub(one, gate), b.mul(e, gate));
    Value inner = b.mul(b.add(b.mul(square, 3.0 * kCubic), 1.0), 2.0 * kSqrtTwoOverPi);
    slope = b.mul(b.mul(gate, rest), inner);
  } else {
    gate = b.ndtr(x);
    // The normal density.
    slope = b.mul(b.exp(b.mul(square, -0.5)), 0.5 * kSqrtTwoOverPi);
  }
  return SmallVector<Value>{b.mul(getDy(), b.add(gate, b.mul(x, slope)))};
}

} // namespace deepshard::graph
