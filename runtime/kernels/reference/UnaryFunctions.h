//===- UnaryFunctions.h - elementwise functions of one operand --------------------------------===//
//
// `apply` of a functor takes an element as it is computed with (Elements.h).
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_REFERENCE_UNARYFUNCTIONS_H
#define DEEPSHARD_RUNTIME_KERNELS_REFERENCE_UNARYFUNCTIONS_H

#include "runtime/kernels/reference/Elements.h"
#include "runtime/kernels/reference/VectorMath.h"

#include <cmath>
#include <numbers>
#include <type_traits>

namespace deepshard::runtime::reference {

// clang-format off
struct Exp { template <typename T> static DS_HOST_DEVICE T apply(T x) { return vectorExp(x); } };
struct Log { template <typename T> static DS_HOST_DEVICE T apply(T x) { return std::log(x); } };
struct Sqrt { template <typename T> static DS_HOST_DEVICE T apply(T x) { return std::sqrt(x); } };
struct Rsqrt { template <typename T> static DS_HOST_DEVICE T apply(T x) { return T(1) / std::sqrt(x); } };
struct Reciprocal { template <typename T> static DS_HOST_DEVICE T apply(T x) { return T(1) / x; } };
struct Sin { template <typename T> static DS_HOST_DEVICE T apply(T x) { return std::sin(x); } };
struct Cos { template <typename T> static DS_HOST_DEVICE T apply(T x) { return std::cos(x); } };
struct Tanh { static DS_HOST_DEVICE float apply(float x) { return vectorTanh(x); } static DS_HOST_DEVICE double apply(double x) { return std::tanh(x); } };
struct Erf { static DS_HOST_DEVICE float apply(float x) { return vectorErf(x); } static DS_HOST_DEVICE double apply(double x) { return std::erf(x); } };
struct Ndtr { static DS_HOST_DEVICE float apply(float x) { return vectorNdtr(x); } static DS_HOST_DEVICE double apply(double x) { return 0.5 * std::erfc(x * -std::numbers::sqrt2 / 2); } };
struct Sigmoid { static DS_HOST_DEVICE float apply(float x) { return vectorSigmoid(x); } static DS_HOST_DEVICE double apply(double x) { const double power = std::exp(-std::abs(x)); return (x < 0 ? power : 1.0) / (1.0 + power); } };
struct Floor { template <typename T> static DS_HOST_DEVICE T apply(T x) { return std::floor(x); } };
// clang-format on

/// Integers are negated as unsigned numbers: the smallest one is its own negation.
struct Neg {
  template <typename T> static DS_HOST_DEVICE T apply(T x) {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(0 - static_cast<std::make_unsigned_t<T>>(x));
    else
      return -x;
  }
};

struct Abs {
  template <typename T> static DS_HOST_DEVICE T apply(T x) {
    if constexpr (std::is_integral_v<T>)
      return x < 0 ? Neg::apply(x) : x;
    else
      return std::abs(x);
  }
};

/// -1, 0 or 1; 0 for NaN, as in PyTorch.
struct Sign {
  template <typename T> static DS_HOST_DEVICE T apply(T x) {
    return static_cast<T>(T(x > T(0)) - T(x < T(0)));
  }
};

struct Not {
  static DS_HOST_DEVICE Bit apply(Bit x) { return {static_cast<uint8_t>(x.value == 0)}; }
};

} // namespace deepshard::runtime::reference

#endif // DEEPSHARD_RUNTIME_KERNELS_REFERENCE_UNARYFUNCTIONS_H
