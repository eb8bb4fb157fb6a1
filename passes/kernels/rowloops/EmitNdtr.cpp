//===- EmitNdtr.cpp - the normal distribution function as arithmetic --------------------------===//

#include "passes/kernels/codegen/Lanes.h"
#include "passes/kernels/rowloops/EmitElement.h"

using namespace mlir;

namespace deepshard {

/// As the reference kernel's `vectorNdtr`, which says why.
Value emitNdtr(OpBuilder &builder, Location location, Value x) {
  Lanes l(builder, location, x.getType());
  auto isBelow = [&](Value a, Value b) { return l.compare(Lanes::Comparison::OLT, a, b); };
  Value zero = l.f32(0), half = l.f32(0.5), one = l.f32(1);
  Value a = l.abs(x), square = l.mul(x, x);
  Value s = l.polynomial(square, {-1.29038863e-5, 1.26752668e-4, -1.19810191e-3, 9.97760892e-3,
                                  -6.64909109e-2, 0.398942292});
  Value small = l.fma(x, s, half);

  Value capped = l.select(isBelow(l.f32(15), a), l.f32(15), a);
  Value high = l.mul(capped, capped);
  Value low = l.fma(capped, capped, l.neg(high));
  Value t = l.div(one, l.fma(capped, l.f32(0.4375), one));
  Value p = l.polynomial(t, {-4.78321761e-2, 0.104295164, 6.13783672e-3, -0.157304406,
                             4.11943682e-2, 6.10556342e-2, 0.143228576, 0.174358889, 0.174543545});
  Value bell = math::ExpOp::create(builder, location, l.mul(high, l.f32(-0.5)));
  bell = l.fma(l.mul(bell, low), l.f32(-0.5), bell);
  Value tail = l.mul(l.mul(t, p), bell);
  Value large = l.select(isBelow(x, zero), tail, l.sub(one, tail));
  return l.select(isBelow(a, one), small, large);
}

} // namespace deepshard
