//===- Binary.cpp - elementwise functions of two operands, comparison and choice --------------===//

#include "runtime/kernels/reference/LoopNest.h"
#include "runtime/kernels/reference/Reference.h"
#include "runtime/kernels/reference/Rows.h"
#include "runtime/kernels/reference/Types.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fmt/format.h>

using namespace deepshard::runtime;
using namespace deepshard::runtime::reference;

namespace {

/// The type in which integers are added and multiplied: unsigned and not narrower than int, so that
/// they wrap around.
template <typename T>
using Wrapping = std::make_unsigned_t<std::conditional_t<(sizeof(T) < 4), int32_t, T>>;

template <typename T, typename Op> T wrap(T a, T b, Op op) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(op(static_cast<Wrapping<T>>(a), static_cast<Wrapping<T>>(b)));
  else
    return op(a, b);
}

struct Add {
  template <typename T> static T apply(T a, T b) {
    return wrap(a, b, [](auto x, auto y) { return x + y; });
  }
};

struct Sub {
  template <typename T> static T apply(T a, T b) {
    return wrap(a, b, [](auto x, auto y) { return x - y; });
  }
};

struct Mul {
  template <typename T> static T apply(T a, T b) {
    return wrap(a, b, [](auto x, auto y) { return x * y; });
  }
};

/// Integers: truncated towards zero; a division by 0 gives 0 (a kernel must not trap).
struct Div {
  template <typename T> static T apply(T a, T b) {
    if constexpr (std::is_integral_v<T>)
      return b == 0 ? T(0) : b == T(-1) ? Sub::apply(T(0), a) : static_cast<T>(a / b);
    else
      return a / b;
  }
};

/// The sign of the divisor, as Python's %. Integers: a remainder by 0 gives 0.
struct Remainder {
  template <typename T> static T apply(T a, T b) {
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
  template <typename T> static T apply(T a, T b) {
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
  template <typename T> static T apply(T a, T b) { return a > b || a != a ? a : b; }
};

struct Minimum {
  template <typename T> static T apply(T a, T b) { return a < b || a != a ? a : b; }
};

// clang-format off
struct And { static Bit apply(Bit a, Bit b) { return {static_cast<uint8_t>((a.value != 0) & (b.value != 0))}; } };
struct Or { static Bit apply(Bit a, Bit b) { return {static_cast<uint8_t>((a.value | b.value) != 0)}; } };
struct Xor { static Bit apply(Bit a, Bit b) { return {static_cast<uint8_t>((a.value != 0) ^ (b.value != 0))}; } };

struct Eq { template <typename T> static Bit apply(T a, T b) { return {static_cast<uint8_t>(a == b)}; } };
struct Ne { template <typename T> static Bit apply(T a, T b) { return {static_cast<uint8_t>(a != b)}; } };
struct Lt { template <typename T> static Bit apply(T a, T b) { return {static_cast<uint8_t>(a < b)}; } };
struct Le { template <typename T> static Bit apply(T a, T b) { return {static_cast<uint8_t>(a <= b)}; } };
struct Gt { template <typename T> static Bit apply(T a, T b) { return {static_cast<uint8_t>(a > b)}; } };
struct Ge { template <typename T> static Bit apply(T a, T b) { return {static_cast<uint8_t>(a >= b)}; } };
// clang-format on

void requireSameTypes(const KernelSpec &spec) {
  requireOperands(spec, 2, 1);
  require(spec.inputs[0].dtype == spec.inputs[1].dtype &&
              spec.inputs[0].dtype == spec.outputs[0].dtype,
          fmt::format("{} of {} and {} cannot give {}", spec.name, textOf(spec.inputs[0]),
                      textOf(spec.inputs[1]), textOf(spec.outputs[0])));
}

template <typename Op> std::unique_ptr<Kernel> prepareArithmetic(const KernelSpec &spec) {
  requireSameTypes(spec);
  return dispatchAnyNumber(spec.inputs[0].dtype, "operand 0", [&](auto tag) {
    using T = typename decltype(tag)::Type;
    return elementwiseKernel(spec, binaryRow<Op, T, T>);
  });
}

/// With one exponent for a whole row, which is the usual case, the choice of the formula leaves the
/// loop.
template <typename T>
void powRow(const void *context, char *const *at, const int64_t *strides, int64_t count) {
  const bool isUniform = strides[2] == 0;
  const T exponent = *reinterpret_cast<const T *>(at[2]);
  struct Square {
    static T apply(T x) { return x * x; }
  };
  struct Cube {
    static T apply(T x) { return x * x * x; }
  };
  if (isUniform && exponent == T(2))
    unaryRow<Square, T, T>(context, at, strides, count);
  else if (isUniform && exponent == T(3))
    unaryRow<Cube, T, T>(context, at, strides, count);
  else
    binaryRow<Pow, T, T>(context, at, strides, count);
}

std::unique_ptr<Kernel> preparePow(const KernelSpec &spec) {
  requireSameTypes(spec);
  return dispatchNumber(spec.inputs[0].dtype, "operand 0", [&](auto tag) {
    using T = typename decltype(tag)::Type;
    if constexpr (std::is_integral_v<T>)
      return elementwiseKernel(spec, binaryRow<Pow, T, T>);
    else
      return elementwiseKernel(spec, powRow<T>);
  });
}

template <typename Op> std::unique_ptr<Kernel> prepareLogical(const KernelSpec &spec) {
  requireSameTypes(spec);
  require(spec.inputs[0].dtype == DType::I1,
          "operand 0 is " + textOf(spec.inputs[0]) + ", expected i1");
  return elementwiseKernel(spec, binaryRow<Op, Bit, Bit>);
}

template <typename T> RowFunction compareRow(const std::string &direction) {
  if (direction == "eq")
    return binaryRow<Eq, Bit, T>;
  if (direction == "ne")
    return binaryRow<Ne, Bit, T>;
  if (direction == "lt")
    return binaryRow<Lt, Bit, T>;
  if (direction == "le")
    return binaryRow<Le, Bit, T>;
  if (direction == "gt")
    return binaryRow<Gt, Bit, T>;
  require(direction == "ge",
          "attribute direction is \"" + direction + "\", expected eq, ne, lt, le, gt or ge");
  return binaryRow<Ge, Bit, T>;
}

std::unique_ptr<Kernel> prepareCompare(const KernelSpec &spec) {
  requireOperands(spec, 2, 1);
  require(spec.inputs[0].dtype == spec.inputs[1].dtype && spec.outputs[0].dtype == DType::I1,
          fmt::format("compare of {} and {} cannot give {}", textOf(spec.inputs[0]),
                      textOf(spec.inputs[1]), textOf(spec.outputs[0])));
  const std::string &direction = spec.attributes.text("direction");
  if (spec.inputs[0].dtype == DType::I1)
    return elementwiseKernel(spec, compareRow<uint8_t>(direction));
  return dispatchAnyNumber(spec.inputs[0].dtype, "operand 0", [&](auto tag) {
    return elementwiseKernel(spec, compareRow<typename decltype(tag)::Type>(direction));
  });
}

template <typename T>
void selectRow(const void *, char *const *at, const int64_t *strides, int64_t count) {
  constexpr auto kSize = static_cast<int64_t>(sizeof(T));
  if (strides[0] == kSize && strides[1] == 1 && strides[2] == kSize && strides[3] == kSize) {
    auto *out = reinterpret_cast<T *>(at[0]);
    const auto *predicate = reinterpret_cast<const uint8_t *>(at[1]);
    const auto *a = reinterpret_cast<const T *>(at[2]);
    const auto *b = reinterpret_cast<const T *>(at[3]);
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) {
      const T whenTrue = a[i], whenFalse = b[i];
      out[i] = predicate[i] ? whenTrue : whenFalse;
    }
    return;
  }
  for (int64_t i = 0; i < count; ++i)
    element<T>(at[0], strides[0], i) = element<uint8_t>(at[1], strides[1], i)
                                           ? element<T>(at[2], strides[2], i)
                                           : element<T>(at[3], strides[3], i);
}

std::unique_ptr<Kernel> prepareSelect(const KernelSpec &spec) {
  requireOperands(spec, 3, 1);
  const DType dtype = spec.outputs[0].dtype;
  require(spec.inputs[0].dtype == DType::I1 && spec.inputs[1].dtype == dtype &&
              spec.inputs[2].dtype == dtype,
          fmt::format("select of {}, {} and {} cannot give {}", textOf(spec.inputs[0]),
                      textOf(spec.inputs[1]), textOf(spec.inputs[2]), textOf(spec.outputs[0])));
  return dispatchSize(dtype, [&](auto tag) {
    return elementwiseKernel(spec, selectRow<typename decltype(tag)::Type>);
  });
}

} // namespace

void deepshard::runtime::reference::addBinary(KernelTable &table) {
  table["add"] = {prepareArithmetic<Add>};
  table["sub"] = {prepareArithmetic<Sub>};
  table["mul"] = {prepareArithmetic<Mul>};
  table["div"] = {prepareArithmetic<Div>};
  table["remainder"] = {prepareArithmetic<Remainder>};
  table["pow"] = {preparePow};
  table["maximum"] = {prepareArithmetic<Maximum>};
  table["minimum"] = {prepareArithmetic<Minimum>};
  table["and"] = {prepareLogical<And>};
  table["or"] = {prepareLogical<Or>};
  table["xor"] = {prepareLogical<Xor>};
  table["compare"] = {prepareCompare};
  table["select"] = {prepareSelect};
}
