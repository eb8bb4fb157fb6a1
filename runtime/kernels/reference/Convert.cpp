//===- Convert.cpp - conversion between element types -----------------------------------------===//
//
// Any type to any other. Floats round to nearest, ties to even. A float becomes an integer by
// truncation; what the integer cannot hold becomes its nearest bound, NaN becomes 0. Integers
// become narrower by dropping bits. Everything but zero becomes the i1 true.
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/kernels/reference/LoopNest.h"
#include "runtime/kernels/reference/Reference.h"
#include "runtime/kernels/reference/Rows.h"
#include "runtime/kernels/reference/Types.h"

#include <limits>

using namespace deepshard::runtime;
using namespace deepshard::runtime::reference;

namespace {

/// The number an element stands for, in a type that holds it exactly.
template <typename T> auto valueOf(T x) {
  if constexpr (std::is_same_v<T, Bit>)
    return static_cast<int32_t>(x.value != 0);
  else
    return widened(x);
}

template <typename R, typename V> R truncated(V value) {
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
  template <typename T> static R apply(T x) {
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

/// As `dispatchNumber`, for the types that only convert, layout and indexing kernels know too.
template <typename Body> auto dispatchAny(DType dtype, bool isSource, const Body &body) {
  switch (dtype) {
  case DType::BF16:
    return body(Tag<BFloat16>{});
  case DType::F16:
    return body(Tag<Float16>{});
  case DType::I1:
    return body(Tag<Bit>{});
  default:
    return dispatchNumber(dtype, isSource ? "the operand of convert" : "the result of convert",
                          body);
  }
}

std::unique_ptr<Kernel> prepareConvert(const KernelSpec &spec) {
  requireOperands(spec, 1, 1);
  const DType from = spec.inputs[0].dtype, to = spec.outputs[0].dtype;
  if (from == to)
    return elementwiseKernel(spec, copyRow(from));
  const RowFunction row = dispatchAny(to, false, [&](auto toTag) {
    using R = typename decltype(toTag)::Type;
    return dispatchAny(from, true, [&](auto fromTag) -> RowFunction {
      return unaryRow<ConvertTo<R>, R, typename decltype(fromTag)::Type>;
    });
  });
  return elementwiseKernel(spec, row);
}

} // namespace

void deepshard::runtime::reference::addConvert(KernelTable &table) {
  table["convert"] = {prepareConvert};
}
