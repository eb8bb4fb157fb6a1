//===- GeluDecompose.cpp - gelu and its gradient as primitives --------------------------------===//

#include "dialects/graph/PrimitiveBuilder.h"

#include <numbers>

using namespace mlir;

namespace deepshard::graph {

namespace {

constexpr double kCubic = 0.044715;
constexpr double kSqrtTwoOverPi = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;

/// 2u = 2 sqrt(2/pi) (x + 0.044715 x^3).
Value twoU(PrimitiveBuilder &b, Value x, Value square) {
  return b.mul(b.mul(x, b.add(b.mul(square, kCubic), 1.0)), 2.0 * kSqrtTwoOverPi);
}

/// The standard normal distribution function, (1 + erf(x / sqrt 2)) / 2.
Value normalDistribution(PrimitiveBuilder &b, Value x) {
  return b.mul(b.add(b.erf(b.mul(x, 1.0 / std::numbers::sqrt2)), 1.0), 0.5);
}

} // namespace

FailureOr<SmallVector<Value>> GeluOp::decompose(OpBuilder &builder) {
  PrimitiveBuilder b(builder, getLoc());
  Value x = getX();
  Value gate = getTanh() ? b.sigmoid(twoU(b, x, b.mul(x, x))) : normalDistribution(b, x);
  return SmallVector<Value>{b.mul(x, gate)};
}

FailureOr<SmallVector<Value>> GeluGradOp::decompose(OpBuilder &builder) {
  PrimitiveBuilder b(builder, getLoc());
  Value x = getX(), square = b.mul(x, x), gate, slope;
  if (getTanh()) {
    // gate = s(2u), slope = s(2u) s(-2u) (2u)'; the product avoids 1 - s where s is close to 1.
    Value u = twoU(b, x, square);
    gate = b.sigmoid(u);
    Value inner = b.mul(b.add(b.mul(square, 3.0 * kCubic), 1.0), 2.0 * kSqrtTwoOverPi);
    slope = b.mul(b.mul(gate, b.sigmoid(b.neg(u))), inner);
  } else {
    gate = normalDistribution(b, x);
    // The normal density.
    slope = b.mul(b.exp(b.mul(square, -0.5)), 0.5 * kSqrtTwoOverPi);
  }
  return SmallVector<Value>{b.mul(getDy(), b.add(gate, b.mul(x, slope)))};
}

} // namespace deepshard::graph
