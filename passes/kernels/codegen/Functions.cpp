//===- Functions.cpp - exp, log, tanh and erf as arithmetic -----------------------------------===//
//
// Comparisons are written so that NaN goes on: a clamp keeps what it cannot compare.
//
//===------------------------------------------------------------------------------------------===//

#include "passes/kernels/codegen/Functions.h"

#include <limits>

using namespace mlir;

namespace deepshard {

// ln 2 in two parts, of which the first has few bits, so that its product with an exponent is exact
// (Cody and Waite).
static constexpr double kLn2High = 0.693359375;
static constexpr double kLn2Low = -2.12194440e-4;

static Value clamp(Lanes &l, Value x, double low, double high) {
  x = l.select(l.compare(Lanes::Comparison::OLT, x, l.f32(low)), l.f32(low), x);
  return l.select(l.compare(Lanes::Comparison::OGT, x, l.f32(high)), l.f32(high), x);
}

/// 2^exponent for an i32 that a normal f32 has.
static Value powerOfTwo(Lanes &l, Value exponent) {
  return l.bitcast(l.f32(), l.shiftLeft(l.addi(exponent, l.i32(127)), l.i32(23)));
}

/// 2^(x / ln 2), where the exponent is rounded, times e^(what that left out), which is near 1.
static Value buildExpFromExp2(Lanes &l, Value x) {
  constexpr double kLog2E = 1.44269502162933349609375, kLog2ERest = 1.92596303e-8;
  Value exponent = l.mul(x, l.f32(kLog2E));
  Value rest = l.fma(x, l.f32(kLog2ERest), l.fma(x, l.f32(kLog2E), l.neg(exponent)));
  return l.mul(l.exp2(exponent), l.fma(rest, l.f32(0.69314718056), l.f32(1)));
}

/// x = n ln 2 + r with |r| <= ln 2 / 2; e^r by its series to r^7 (relative error 2e-9).
Value buildExp(Lanes &l, Value x) {
  x = clamp(l, x, -104, 89); // where the result is 0 and infinity
  if (l.hasExp2)
    return buildExpFromExp2(l, x);
  // Adding 1.5 * 2^23 rounds n to an integer in the low bits.
  constexpr double kShift = 12582912;
  Value shifted = l.fma(x, l.f32(1.44269504089), l.f32(kShift));
  Value n = l.sub(shifted, l.f32(kShift));
  Value r = l.fma(n, l.f32(-kLn2Low), l.fma(n, l.f32(-kLn2High), x));
  // 1 + (r + r^2 P(r)), P in powers of r^2: few steps that wait for one another.
  Value r2 = l.mul(r, r);
  auto pair = [&](double slope, double start) { return l.fma(r, l.f32(slope), l.f32(start)); };
  Value p = l.fma(l.fma(pair(1.0 / 5040, 1.0 / 720), r2, pair(1.0 / 120, 1.0 / 24)), r2,
                  pair(1.0 / 6, 0.5));
  p = l.add(l.fma(r2, p, r), l.f32(1));
  // 2^n in two factors: one alone cannot be denormal or above 2^127.
  constexpr int64_t kShiftBits = 0x4b400000;
  Value exponent = l.subi(l.bitcast(l.i32(), shifted), l.i32(kShiftBits));
  Value half = l.shiftRightSigned(exponent, l.i32(1));
  return l.mul(l.mul(p, powerOfTwo(l, half)), powerOfTwo(l, l.subi(exponent, half)));
}

/// To nearest, ties to even, by what is added to the bits that go; of NaN the quiet one.
Value buildRoundToBf16(Lanes &l, Value x) {
  Value bits = l.bitcast(l.i32(), x);
  Value isOdd = l.andi(l.shiftRight(bits, l.i32(16)), l.i32(1));
  Value rounded = l.addi(bits, l.addi(isOdd, l.i32(0x7fff)));
  Value isNaN = l.compare(Lanes::Comparison::UNO, x, x);
  return l.bitcast(l.f32(), l.select(isNaN, l.i32(0x7fc00000), l.andi(rounded, l.i32(0xffff0000))));
}

Value buildNarrowToBf16(Lanes &l, Value rounded) {
  Value high = l.shiftRight(l.bitcast(l.i32(), rounded), l.i32(16));
  return l.bitcast(l.bf16(), l.truncate(l.i16(), high));
}

Value buildWidenBf16(Lanes &l, Value x) {
  Value bits = l.extendUnsigned(l.i32(), l.bitcast(l.i16(), x));
  return l.bitcast(l.f32(), l.shiftLeft(bits, l.i32(16)));
}

/// x = 2^e m with m in [sqrt(1/2), sqrt(2)); log m by the polynomial of Cephes' logf.
Value buildLog(Lanes &l, Value x) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Value isSmall = l.compare(Lanes::Comparison::OLT, x, l.f32(0x1p-126));
  Value normal = l.select(isSmall, l.mul(x, l.f32(0x1p23)), x);
  constexpr int64_t kSqrtHalf = 0x3f3504f3;
  Value bits = l.subi(l.bitcast(l.i32(), normal), l.i32(kSqrtHalf));
  Value exponent =
      l.subi(l.shiftRightSigned(bits, l.i32(23)), l.select(isSmall, l.i32(23), l.i32(0)));
  Value mantissa = l.addi(l.andi(bits, l.i32(0x7fffff)), l.i32(kSqrtHalf));
  Value f = l.sub(l.bitcast(l.f32(), mantissa), l.f32(1));
  Value e = l.toFloat(l.f32(), exponent);
  Value z = l.mul(f, f);
  Value p = l.polynomial(f, {7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1,
                             1.4249322787e-1, -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1,
                             3.3333331174e-1});
  Value y = l.mul(l.mul(p, f), z);
  y = l.fma(e, l.f32(kLn2Low), y);
  y = l.fma(l.f32(-0.5), z, y);
  Value result = l.fma(e, l.f32(kLn2High), l.add(f, y));
  // Of negative numbers NaN; of infinity and NaN themselves.
  Value isPositive = l.compare(Lanes::Comparison::OGT, x, l.f32(0));
  Value isFinite = l.compare(Lanes::Comparison::OLT, x, l.f32(kInfinity));
  Value isZero = l.compare(Lanes::Comparison::OEQ, x, l.f32(0));
  result = l.select(isPositive, result, l.f32(std::numeric_limits<double>::quiet_NaN()));
  result = l.select(isZero, l.f32(-kInfinity), result);
  Value isNumber = l.compare(Lanes::Comparison::ORD, x, x);
  return l.select(l.andi(isNumber, isFinite), result, x);
}

/// Near zero a polynomial, elsewhere 1 - 2 / (e^2|x| + 1).
Value buildTanh(Lanes &l, Value x) {
  Value a = l.abs(x), u = l.mul(a, a);
  Value p = l.polynomial(
      u, {0.0021038719, -0.0081367502, 0.0216853153, -0.0539442040, 0.1333318800, -0.3333333135});
  Value small = l.fma(l.mul(a, u), p, a);
  Value large = l.sub(l.f32(1), l.div(l.f32(2), l.add(buildExp(l, l.add(a, a)), l.f32(1))));
  Value isSmall = l.compare(Lanes::Comparison::OLT, a, l.f32(0.625));
  return l.copySign(l.select(isSmall, small, large), x);
}

/// Below 1 a polynomial, above it 1 - e^P with P fitted to log(erfc) around 2.5; 1 from 4 on. The
/// polynomials were fitted by least squares at Chebyshev points to a relative error below 3e-10.
Value buildErf(Lanes &l, Value x) {
  Value a = l.abs(x), u = l.mul(a, a);
  Value s = l.polynomial(u, {-9.68966287e-6, 1.12747068e-4, -8.48543423e-4, 5.22113824e-3,
                             -2.68654749e-2, 0.112837836, -0.376126379, 1.12837923});
  Value capped = l.select(l.compare(Lanes::Comparison::OGT, a, l.f32(4)), l.f32(4), a);
  Value v = l.sub(capped, l.f32(2.5));
  Value t =
      l.polynomial(v, {7.48356797e-7, 4.96452731e-6, -8.79130948e-6, 7.74804357e-5, -4.24207217e-4,
                       2.16276641e-3, -1.08585153e-2, -0.943893433, -5.35268068, -7.80681515});
  Value isSmall = l.compare(Lanes::Comparison::OLT, a, l.f32(1));
  Value result = l.select(isSmall, l.mul(a, s), l.sub(l.f32(1), buildExp(l, t)));
  return l.copySign(result, x);
}

} // namespace deepshard
