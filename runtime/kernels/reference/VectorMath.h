//===- VectorMath.h - functions of f32 that the compiler turns into vector code ---------------===//
//
// The C library's expf, tanhf and erff are called element by element. These are straight-line code
// with a few roundings' error (within 5 units in the last place; the tests hold them to it), so
// that a loop over them becomes vector code. Polynomials were fitted by least squares at Chebyshev
// points to a relative error below 3e-10.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_REFERENCE_VECTORMATH_H
#define DEEPSHARD_RUNTIME_KERNELS_REFERENCE_VECTORMATH_H

#include "runtime/kernels/HostDevice.h"

#include <bit>
#include <cmath>
#include <cstdint>

namespace deepshard::runtime::reference {

inline DS_HOST_DEVICE float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }

/// e^x; denormal results included, infinity above 88.7.
inline DS_HOST_DEVICE float vectorExp(float x) {
  x = x < -104.0f ? -104.0f : x;
  x = x > 89.0f ? 89.0f : x;
  // x = n ln 2 + r, ln 2 in two parts (Cody and Waite); adding 1.5 * 2^23 rounds n to an integer in
  // the low bits.
  const float shifted = fma(x, 1.44269504089f, 12582912.0f);
  const float n = shifted - 12582912.0f;
  const float r = fma(n, 2.12194440e-4f, fma(n, -0.693359375f, x));
  float p = fma(1.0f / 5040, r, 1.0f / 720); // the series of e^r
  p = fma(p, r, 1.0f / 120);
  p = fma(p, r, 1.0f / 24);
  p = fma(p, r, 1.0f / 6);
  p = fma(p, r, 0.5f);
  p = fma(p, r, 1.0f);
  p = fma(p, r, 1.0f);
  // 2^n in two factors: one alone cannot be denormal or above 2^127.
  const int32_t exponent = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(12582912.0f);
  const int32_t half = exponent >> 1;
  const auto first = std::bit_cast<float>((half + 127) << 23);
  const auto second = std::bit_cast<float>((exponent - half + 127) << 23);
  return p * first * second;
}

inline DS_HOST_DEVICE double vectorExp(double x) { return std::exp(x); }

inline DS_HOST_DEVICE float vectorAbs(float x) {
  return std::bit_cast<float>(std::bit_cast<uint32_t>(x) & 0x7fffffffu);
}

/// `magnitude` (not negative) with the sign of x.
inline DS_HOST_DEVICE float withSign(float magnitude, float x) {
  return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) |
                              (std::bit_cast<uint32_t>(x) & 0x80000000u));
}

/// Near zero a polynomial, elsewhere 1 - 2 / (e^2|x| + 1).
inline DS_HOST_DEVICE float vectorTanh(float x) {
  const float a = vectorAbs(x), u = a * a;
  float p = fma(0.0021038719f, u, -0.0081367502f);
  p = fma(p, u, 0.0216853153f);
  p = fma(p, u, -0.0539442040f);
  p = fma(p, u, 0.1333318800f);
  p = fma(p, u, -0.3333333135f);
  const float small = fma(a * u, p, a);
  const float large = 1.0f - 2.0f / (vectorExp(a + a) + 1.0f);
  return withSign(a < 0.625f ? small : large, x);
}

/// From e^-|x|, which is at most 1: what is nearly 0 does not become 0 by an infinity.
inline DS_HOST_DEVICE float vectorSigmoid(float x) {
  const float power = vectorExp(-vectorAbs(x));
  return (x < 0.0f ? power : 1.0f) / (1.0f + power);
}

/// Below 1 a polynomial, above it 1 - e^P with P fitted to log(erfc) around 2.5; 1 from 4 on.
inline DS_HOST_DEVICE float vectorErf(float x) {
  const float a = vectorAbs(x), u = a * a;
  float s = fma(-9.68966287e-6f, u, 1.12747068e-4f);
  s = fma(s, u, -8.48543423e-4f);
  s = fma(s, u, 5.22113824e-3f);
  s = fma(s, u, -2.68654749e-2f);
  s = fma(s, u, 0.112837836f);
  s = fma(s, u, -0.376126379f);
  s = fma(s, u, 1.12837923f);
  const float v = (a > 4.0f ? 4.0f : a) - 2.5f;
  float t = fma(7.48356797e-7f, v, 4.96452731e-6f);
  t = fma(t, v, -8.79130948e-6f);
  t = fma(t, v, 7.74804357e-5f);
  t = fma(t, v, -4.24207217e-4f);
  t = fma(t, v, 2.16276641e-3f);
  t = fma(t, v, -1.08585153e-2f);
  t = fma(t, v, -0.943893433f);
  t = fma(t, v, -5.35268068f);
  t = fma(t, v, -7.80681515f);
  return withSign(a < 1.0f ? a * s : 1.0f - vectorExp(t), x);
}

/// The standard normal distribution function, (1 + erf(x / sqrt 2)) / 2. Near zero 1/2 + x P(x^2).
/// Elsewhere the tail below -|x|, e^(-x^2/2) t P(t) with t = 1 / (1 + 7/16 |x|), is the result or
/// what the result lacks to 1. x^2 is needed to more digits than f32 has, because its error becomes
/// a relative one; what rounding takes off it is multiplied in behind. From 15 on the tail is 0.
inline DS_HOST_DEVICE float vectorNdtr(float x) {
  const float a = vectorAbs(x), square = x * x;
  float s = fma(-1.29038863e-5f, square, 1.26752668e-4f);
  s = fma(s, square, -1.19810191e-3f);
  s = fma(s, square, 9.97760892e-3f);
  s = fma(s, square, -6.64909109e-2f);
  s = fma(s, square, 0.398942292f);
  const float small = fma(x, s, 0.5f);

  const float capped = 15.0f < a ? 15.0f : a;
  const float high = capped * capped, low = fma(capped, capped, -high);
  const float t = 1.0f / fma(capped, 0.4375f, 1.0f);
  float p = fma(-4.78321761e-2f, t, 0.104295164f);
  p = fma(p, t, 6.13783672e-3f);
  p = fma(p, t, -0.157304406f);
  p = fma(p, t, 4.11943682e-2f);
  p = fma(p, t, 6.10556342e-2f);
  p = fma(p, t, 0.143228576f);
  p = fma(p, t, 0.174358889f);
  p = fma(p, t, 0.174543545f);
  float bell = vectorExp(high * -0.5f);
  bell = fma(bell * low, -0.5f, bell);
  const float tail = t * p * bell;
  return a < 1.0f ? small : x < 0.0f ? tail : 1.0f - tail;
}

} // namespace deepshard::runtime::reference

#endif // DEEPSHARD_RUNTIME_KERNELS_REFERENCE_VECTORMATH_H
