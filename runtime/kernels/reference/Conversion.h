//===- Conversion.h - elements as elements of another type ------------------------------------===//
//
// Any type to any other. Floats round to nearest, ties to even. A float becomes an integer by
// truncation; what the integer cannot hold becomes its nearest bound, NaN becomes 0. Integers
// become narrower by dropping bits. Everything but zero becomes the i1 true.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_REFERENCE_CONVERSION_H
#define DEEPSHARD_RUNTIME_KERNELS_REFERENCE_CONVERSION_H

#include "runtime/kernels/reference/Elements.h"

#include <limits>

namespace deepshard::runtime::reference {

/// The number an element stands for, in a type that holds it exactly.
template <typename T> DS_HOST_DEVICE auto valueOf(T x) {
  if constexpr (std::is_same_v<T, Bit>)
    return static_cast<int32_t>(x.value != 0);
  else
    return widened(x);
}

template <typename R, typename V> DS_HOST_DEVICE R truncated(V value) {
  // The first number above the range, a power of two, is exact in every float type; the largest
  // integer is not.
  constexpr V kAbove = -static_cast<V>(std::numeric_limits<R>::min());
  if (value != value)
    return 0;
  if (value >= kAbove)
    return std::numeric_limits<R>::max();
  if (value <= -kAbove)
    return std::numeric_limits<R>::min();
  return static_cast<R>(value);
}

template <typename R> struct ConvertTo {
  /// T is the operand's type, bf16 and f16 excepted: `x` is an f32 then.
  template <typename T> static DS_HOST_DEVICE R apply(T x) {
    const auto value = valueOf(x);
    using V = std::remove_const_t<decltype(value)>;
    if constexpr (std::is_same_v<R, Bit>)
      return {static_cast<uint8_t>(value != 0)};
    else if constexpr (std::is_same_v<R, BFloat16> || std::is_same_v<R, Float16>) {
      if constexpr (std::is_same_v<V, float>)
        return R::from(value);
      else
        return R::from(static_cast<double>(value));
    } else if constexpr (std::is_integral_v<R> && std::is_floating_point_v<V>)
      return truncated<R>(value);
    else
      return static_cast<R>(value);
  }
};

} // namespace deepshard::runtime::reference

#endif // DEEPSHARD_RUNTIME_KERNELS_REFERENCE_CONVERSION_H
