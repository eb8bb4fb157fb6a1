//===- BinaryFunctions.h - elementwise functions of two operands, comparisons -----------------===//
//
// `apply` of a functor takes elements as they are computed with (Elements.h). What it computes of
// integers is the same modulo 2^n for every wider type, so that one width can serve all.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_REFERENCE_BINARYFUNCTIONS_H
#define DEEPSHARD_RUNTIME_KERNELS_REFERENCE_BINARYFUNCTIONS_H

#include "runtime/kernels/reference/Elements.h"

#include <cmath>
#include <cstdint>
#include <type_traits>

namespace deepshard::runtime::reference {

/// The type in which integers are added and multiplied: unsigned and not narrower than int, so that
/// they wrap around.
template <typename T>
using Wrapping = std::make_unsigned_t<std::conditional_t<(sizeof(T) < 4), int32_t, T>>;

template <typename T, typename Op> DS_HOST_DEVICE T wrap(T a, T b, Op op) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(op(static_cast<Wrapping<T>>(a), static_cast<Wrapping<T>>(b)));
  else
    return op(a, b);
}

struct Add {
  template <typename T> static DS_HOST_DEVICE T apply(T a, T b) {
    return wrap(a, b, [](auto x, auto y) { return x + y; });
  }
};

struct Sub {
  template <typename T> static DS_HOST_DEVICE T apply(T a, T b) {
    return wrap(a, b, [](auto x, auto y) { return x - y; });
  }
};

struct Mul {
  template <typename T> static DS_HOST_DEVICE T apply(T a, T b) {
    return wrap(a, b, [](auto x, auto y) { return x * y; });
  }
};

/// Integers: truncated towards zero; a division by 0 gives 0 (a kernel must not trap).
struct Div {
  template <typename T> static DS_HOST_DEVICE T apply(T a, T b) {
    if constexpr (std::is_integral_v<T>)
      return b == 0 ? T(0) : b == T(-1) ? Sub::apply(T(0), a) : static_cast<T>(a / b);
    else
      return a / b;
  }
};

/// The sign of the divisor, as Python's %. Integers: a remainder by 0 gives 0.
struct Remainder {
  template <typename T> static DS_HOST_DEVICE T apply(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      if (b == 0 || b == T(-1))
        return 0;
      const T rest = static_cast<T>(a % b);
      return rest != 0 && (rest < 0) != (b < 0) ? static_cast<T>(rest + b) : rest;
    } else {
      const T rest = std::fmod(a, b);
      return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
    }
  }
};

/// x^2 and x^3 are products, as in PyTorch. Integers: negative exponents truncate (0, but for a
/// base of 1 or -1).
struct Pow {
  template <typename T> static DS_HOST_DEVICE T apply(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      if (b < 0)
        return a == 1 ? T(1) : a == T(-1) ? (b % 2 ? T(-1) : T(1)) : T(0);
      T result = 1;
      for (; b > 0; b = static_cast<T>(b / 2), a = Mul::apply(a, a))
        if (b % 2)
          result = Mul::apply(result, a);
      return result;
    } else {
      if (b == T(2))
        return a * a;
      if (b == T(3))
        return a * a * a;
      return std::pow(a, b);
    }
  }
};

struct Maximum {
  template <typename T> static DS_HOST_DEVICE T apply(T a, T b) { return a > b || a != a ? a : b; }
};

struct Minimum {
  template <typename T> static DS_HOST_DEVICE T apply(T a, T b) { return a < b || a != a ? a : b; }
};

// clang-format off
struct And { static DS_HOST_DEVICE Bit apply(Bit a, Bit b) { return {static_cast<uint8_t>((a.value != 0) & (b.value != 0))}; } };
struct Or { static DS_HOST_DEVICE Bit apply(Bit a, Bit b) { return {static_cast<uint8_t>((a.value | b.value) != 0)}; } };
struct Xor { static DS_HOST_DEVICE Bit apply(Bit a, Bit b) { return {static_cast<uint8_t>((a.value != 0) ^ (b.value != 0))}; } };

struct Eq { template <typename T> static DS_HOST_DEVICE Bit apply(T a, T b) { return {static_cast<uint8_t>(a == b)}; } };
struct Ne { template <typename T> static DS_HOST_DEVICE Bit apply(T a, T b) { return {static_cast<uint8_t>(a != b)}; } };
struct Lt { template <typename T> static DS_HOST_DEVICE Bit apply(T a, T b) { return {static_cast<uint8_t>(a < b)}; } };
struct Le { template <typename T> static DS_HOST_DEVICE Bit apply(T a, T b) { return {static_cast<uint8_t>(a <= b)}; } };
struct Gt { template <typename T> static DS_HOST_DEVICE Bit apply(T a, T b) { return {static_cast<uint8_t>(a > b)}; } };
struct Ge { template <typename T> static DS_HOST_DEVICE Bit apply(T a, T b) { return {static_cast<uint8_t>(a >= b)}; } };
// clang-format on

} // namespace deepshard::runtime::reference

#endif // DEEPSHARD_RUNTIME_KERNELS_REFERENCE_BINARYFUNCTIONS_H
