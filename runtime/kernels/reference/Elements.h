//===- Elements.h - elements in memory and as they are computed with --------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_REFERENCE_ELEMENTS_H
#define DEEPSHARD_RUNTIME_KERNELS_REFERENCE_ELEMENTS_H

#include "runtime/kernels/HostDevice.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#ifndef __CUDACC__
#include <immintrin.h>
#endif

namespace deepshard::runtime::reference {

/// Element of an i1 tensor: 0 or 1 in a byte.
struct Bit {
  uint8_t value;
};

/// Nearest float to `x`, but with the last bit set where `x` lies between two floats ("round to
/// odd"): rounding the result once more to a narrower type then equals rounding `x` at once.
inline DS_HOST_DEVICE float floatRoundedToOdd(double x) {
  const auto nearest = static_cast<float>(x);
  if (static_cast<double>(nearest) == x || std::isnan(x) || std::isinf(nearest))
    return nearest;
  auto bits = std::bit_cast<uint32_t>(nearest);
  if (bits & 1)
    return nearest;
  const bool away = std::abs(static_cast<double>(nearest)) < std::abs(x);
  return std::bit_cast<float>(away ? bits + 1 : bits - 1);
}

struct BFloat16 {
  uint16_t bits;

  static DS_HOST_DEVICE BFloat16 from(float x) {
    auto wide = std::bit_cast<uint32_t>(x);
    // Both are computed, so that loops over it are vectorised.
    const uint32_t quiet = (wide >> 16) | 0x40;
    const uint32_t rounded = (wide + 0x7fff + ((wide >> 16) & 1)) >> 16; // to nearest, ties to even
    return {static_cast<uint16_t>((wide & 0x7fffffff) > 0x7f800000 ? quiet : rounded)};
  }
  static DS_HOST_DEVICE BFloat16 from(double x) { return from(floatRoundedToOdd(x)); }
  DS_HOST_DEVICE float toFloat() const {
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  }
};

struct Float16 {
  uint16_t bits;

#ifdef __CUDACC__
  static __device__ Float16 from(float x) {
    uint16_t narrow;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(narrow) : "f"(x));
    return {narrow};
  }
  __device__ float toFloat() const {
    float wide;
    asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(bits));
    return wide;
  }
#else
  static Float16 from(float x) {
    return {static_cast<uint16_t>(_cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT))};
  }
  float toFloat() const { return _cvtsh_ss(bits); }
#endif
  static DS_HOST_DEVICE Float16 from(double x) { return from(floatRoundedToOdd(x)); }
};

/// A number as it is computed with: bf16 and f16 in f32, all others as they are.
template <typename T> DS_HOST_DEVICE auto widened(T x) {
  if constexpr (std::is_same_v<T, BFloat16> || std::is_same_v<T, Float16>)
    return x.toFloat();
  else
    return x;
}

/// `x` as an element of type T, rounded to nearest even.
template <typename T, typename V> DS_HOST_DEVICE T narrowed(V x) {
  if constexpr (std::is_same_v<T, V>)
    return x;
  else if constexpr (std::is_same_v<T, BFloat16> || std::is_same_v<T, Float16>)
    return T::from(x);
  else
    return static_cast<T>(x);
}

/// What a sum of elements of type T is kept in.
template <typename T>
using Accumulator = std::conditional_t<std::is_floating_point_v<T>, double, int64_t>;

} // namespace deepshard::runtime::reference

#endif // DEEPSHARD_RUNTIME_KERNELS_REFERENCE_ELEMENTS_H
