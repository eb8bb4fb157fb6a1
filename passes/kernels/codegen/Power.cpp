//===- Power.cpp - powf as arithmetic ---------------------------------------------------------===//
//
// |x|^y = 2^(y log2 |x|). The product needs many more bits than f32 has, because its error becomes
// a relative one; so all of it is computed in f64.
//
//===------------------------------------------------------------------------------------------===//

#include "passes/kernels/codegen/Functions.h"

#include <limits>

using namespace mlir;

namespace deepshard {

static constexpr double kInfinity = std::numeric_limits<double>::infinity();
static constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
static constexpr double kLn2 = 0.693147180559945309417;

/// log2 of an f64 that is a positive f32, so not denormal. x = 2^e m with m in [sqrt(1/2),
/// sqrt(2)); log m = 2 artanh s, s = (m - 1) / (m + 1), by its series to s^15 (relative error
/// 4e-14).
static Value logTwo(Lanes &l, Value x) {
  Value bits = l.bitcast(l.i64(), x);
  Value high = l.truncate(l.i32(), l.shiftRight(bits, l.i64(32)));
  constexpr int64_t kSqrtHalfHigh = 0x3fe6a09e;
  Value e = l.shiftRightSigned(l.subi(high, l.i32(kSqrtHalfHigh)), l.i32(20));
  Value exponentBits = l.shiftLeft(l.extendSigned(l.i64(), e), l.i64(52));
  Value m = l.bitcast(l.f64(), l.subi(bits, exponentBits));
  Value f = l.sub(m, l.f64(1));
  Value s = l.div(f, l.add(m, l.f64(1)));
  Value z = l.mul(s, s);
  Value p =
      l.polynomial(z, {1.0 / 15, 1.0 / 13, 1.0 / 11, 1.0 / 9, 1.0 / 7, 1.0 / 5, 1.0 / 3, 1.0});
  return l.fma(l.mul(s, p), l.f64(2 / kLn2), l.toFloat(l.f64(), e));
}

/// 2^t for |t| <= 200; e^r by its series to r^10 (relative error 3e-13).
static Value powerOfTwo(Lanes &l, Value t) {
  constexpr double kShift = 0x1.8p52; // rounds to an integer in the low bits
  Value shifted = l.add(t, l.f64(kShift));
  Value n = l.sub(shifted, l.f64(kShift));
  Value r = l.mul(l.sub(t, n), l.f64(kLn2));
  Value p = l.polynomial(r, {1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720,
                             1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1, 1});
  Value biased = l.addi(l.bitcast(l.i64(), shifted), l.i64(1023));
  return l.mul(p, l.bitcast(l.f64(), l.shiftLeft(biased, l.i64(52))));
}

Value buildPow(Lanes &l, Value x, Value y) {
  using Comparison = Lanes::Comparison;
  Value a = l.abs(x);
  Value isOne = l.compare(Comparison::OEQ, a, l.f32(1));
  Value isZero = l.compare(Comparison::OEQ, a, l.f32(0));
  Value isInfinite = l.compare(Comparison::OEQ, a, l.f32(kInfinity));
  Value log = logTwo(l, l.extend(l.f64(), a));
  log = l.select(isZero, l.f64(-kInfinity), l.select(isInfinite, l.f64(kInfinity), log));
  // 1 to the infinity is 1.
  Value t = l.select(isOne, l.f64(0), l.mul(l.extend(l.f64(), y), log));
  t = l.select(l.compare(Comparison::OLT, t, l.f64(-200)), l.f64(-200), t);
  t = l.select(l.compare(Comparison::OGT, t, l.f64(200)), l.f64(200), t);
  Value result = l.round(l.f32(), powerOfTwo(l, t));

  // Of a negative x: with the sign of an odd power, and only to integers.
  Value isInteger = l.compare(Comparison::OEQ, l.floor(y), y);
  Value half = l.mul(y, l.f32(0.5));
  Value isOdd = l.andi(isInteger, l.compare(Comparison::ONE, l.floor(half), half));
  result = l.select(isOdd, l.copySign(result, x), result);
  Value isNegative = l.andi(l.compare(Comparison::OLT, x, l.f32(0)),
                            l.compare(Comparison::OLT, a, l.f32(kInfinity)));
  Value isFraction = l.compare(Comparison::ONE, l.floor(y), y);
  result = l.select(l.andi(isNegative, isFraction), l.f32(kNan), result);

  result = l.select(l.compare(Comparison::UNO, x, y), l.f32(kNan), result);
  Value isPlainOne =
      l.ori(l.compare(Comparison::OEQ, x, l.f32(1)), l.compare(Comparison::OEQ, y, l.f32(0)));
  return l.select(isPlainOne, l.f32(1), result);
}

} // namespace deepshard
