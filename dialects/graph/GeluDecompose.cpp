//===- GeluDecompose.cpp - gelu and its gradient as primitives --------------------------------===//

#include "dialects/graph/PrimitiveBuilder.h"

#include <numbers>

using namespace mlir;

namespace deepshard::graph {

namespace {

constexpr double kCubic = 0.044715;
/// Far above 1 and far below the largest f32, bf16 and f64.
constexpr double kLargeExp = 1e30;
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
    // gate = s(2u) = 1 / (1 + e) with e = exp(-2u), slope = s(2u) s(-2u) (2u)' = gate (e gate)
    // (2u)'; that avoids 1 - gate where gate is close to 1. Where e would overflow both are 0.
    Value e = b.minimum(b.exp(b.neg(twoU(b, x, square))), b.scalarLike(x, kLargeExp));
    gate = b.div(b.scalarLike(x, 1.0), b.add(e, 1.0));
    Value inner = b.mul(b.add(b.mul(square, 3.0 * kCubic), 1.0), 2.0 * kSqrtTwoOverPi);
    slope = b.mul(b.mul(gate, b.mul(e, gate)), inner);
  } else {
    gate = normalDistribution(b, x);
    // The normal density.
    slope = b.mul(b.exp(b.mul(square, -0.5)), 0.5 * kSqrtTwoOverPi);
  }
  return SmallVector<Value>{b.mul(getDy(), b.add(gate, b.mul(x, slope)))};
}

} // namespace deepshard::graph
