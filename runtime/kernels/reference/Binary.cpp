//===- Binary.cpp - elementwise functions of two operands, comparison and choice --------------===//

#include "runtime/kernels/reference/BinaryFunctions.h"
#include "runtime/kernels/reference/LoopNest.h"
#include "runtime/kernels/reference/Reference.h"
#include "runtime/kernels/reference/Rows.h"
#include "runtime/kernels/reference/Types.h"

#include <fmt/format.h>

using namespace deepshard::runtime;
using namespace deepshard::runtime::reference;

namespace {

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
