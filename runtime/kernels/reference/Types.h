//===- Types.h - the C++ types of the element types, and dispatch over them -------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_REFERENCE_TYPES_H
#define DEEPSHARD_RUNTIME_KERNELS_REFERENCE_TYPES_H

#include "runtime/kernels/Kernel.h"
#include "runtime/kernels/Require.h"

#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <immintrin.h>
#include <string>
#include <type_traits>

namespace deepshard::runtime::reference {

/// Element of an i1 tensor: 0 or 1 in a byte.
struct Bit {
  uint8_t value;
};

/// Nearest float to `x`, but with the last bit set where `x` lies between two floats ("round to
/// odd"): rounding the result once more to a narrower type then equals rounding `x` at once.
inline float floatRoundedToOdd(double x) {
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

  static BFloat16 from(float x) {
    auto wide = std::bit_cast<uint32_t>(x);
    // Both are computed, so that loops over it are vectorised.
    const uint32_t quiet = (wide >> 16) | 0x40;
    const uint32_t rounded = (wide + 0x7fff + ((wide >> 16) & 1)) >> 16; // to nearest, ties to even
    return {static_cast<uint16_t>((wide & 0x7fffffff) > 0x7f800000 ? quiet : rounded)};
  }
  static BFloat16 from(double x) { return from(floatRoundedToOdd(x)); }
  float toFloat() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
};

struct Float16 {
  uint16_t bits;

  static Float16 from(float x) {
    return {static_cast<uint16_t>(_cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT))};
  }
  static Float16 from(double x) { return from(floatRoundedToOdd(x)); }
  float toFloat() const { return _cvtsh_ss(bits); }
};

/// A number as it is computed with: bf16 and f16 in f32, all others as they are.
template <typename T> auto widened(T x) {
  if constexpr (std::is_same_v<T, BFloat16> || std::is_same_v<T, Float16>)
    return x.toFloat();
  else
    return x;
}

/// `x` as an element of type T, rounded to nearest even.
template <typename T, typename V> T narrowed(V x) {
  if constexpr (std::is_same_v<T, V>)
    return x;
  else if constexpr (std::is_same_v<T, BFloat16> || std::is_same_v<T, Float16>)
    return T::from(x);
  else
    return static_cast<T>(x);
}

template <typename T> struct Tag {
  using Type = T;
};

/// Calls `body(Tag<T>{})` with the C++ type of a floating-point `dtype` that kernels compute in.
template <typename Body>
auto dispatchFloat(DType dtype, const std::string &what, const Body &body) {
  switch (dtype) {
  case DType::F32:
    return body(Tag<float>{});
  case DType::F64:
    return body(Tag<double>{});
  default:
    require(false, what + " has type " + std::string(nameOf(dtype)) + ", expected f32 or f64");
    return body(Tag<float>{});
  }
}

/// As `dispatchFloat`, for the floats too that are computed with in f32.
template <typename Body>
auto dispatchAnyFloat(DType dtype, const std::string &what, const Body &body) {
  switch (dtype) {
  case DType::BF16:
    return body(Tag<BFloat16>{});
  case DType::F16:
    return body(Tag<Float16>{});
  default:
    return dispatchFloat(dtype, what, body);
  }
}

/// As `dispatchFloat`, for signed integers too.
template <typename Body>
auto dispatchNumber(DType dtype, const std::string &what, const Body &body) {
  switch (dtype) {
  case DType::I64:
    return body(Tag<int64_t>{});
  case DType::I32:
    return body(Tag<int32_t>{});
  case DType::I8:
    return body(Tag<int8_t>{});
  case DType::F32:
    return body(Tag<float>{});
  case DType::F64:
    return body(Tag<double>{});
  default:
    require(false, what + " has type " + std::string(nameOf(dtype)) +
                       ", expected f32, f64, i64, i32 or i8");
    return body(Tag<float>{});
  }
}

/// As `dispatchNumber`, for the floats too that are computed with in f32.
template <typename Body>
auto dispatchAnyNumber(DType dtype, const std::string &what, const Body &body) {
  switch (dtype) {
  case DType::BF16:
    return body(Tag<BFloat16>{});
  case DType::F16:
    return body(Tag<Float16>{});
  default:
    return dispatchNumber(dtype, what, body);
  }
}

/// Calls `body(Tag<T>{})` with an unsigned integer of the size of `dtype`, for kernels that only
/// move elements.
template <typename Body> auto dispatchSize(DType dtype, const Body &body) {
  switch (sizeOf(dtype)) {
  case 1:
    return body(Tag<uint8_t>{});
  case 2:
    return body(Tag<uint16_t>{});
  case 4:
    return body(Tag<uint32_t>{});
  default:
    return body(Tag<uint64_t>{});
  }
}

/// What a sum of elements of type T is kept in.
template <typename T>
using Accumulator = std::conditional_t<std::is_floating_point_v<T>, double, int64_t>;

} // namespace deepshard::runtime::reference

#endif // DEEPSHARD_RUNTIME_KERNELS_REFERENCE_TYPES_H
