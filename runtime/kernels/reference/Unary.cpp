//===- Unary.cpp - elementwise functions of one operand ---------------------------------------===//

#include "runtime/kernels/reference/LoopNest.h"
#include "runtime/kernels/reference/Reference.h"
#include "runtime/kernels/reference/Rows.h"
#include "runtime/kernels/reference/Types.h"
#include "runtime/kernels/reference/VectorMath.h"

#include <cmath>

using namespace deepshard::runtime;
using namespace deepshard::runtime::reference;

namespace {

// clang-format off
struct Exp { template <typename T> static T apply(T x) { return vectorExp(x); } };
struct Log { template <typename T> static T apply(T x) { return std::log(x); } };
struct Sqrt { template <typename T> static T apply(T x) { return std::sqrt(x); } };
struct Rsqrt { template <typename T> static T apply(T x) { return T(1) / std::sqrt(x); } };
struct Reciprocal { template <typename T> static T apply(T x) { return T(1) / x; } };
struct Sin { template <typename T> static T apply(T x) { return std::sin(x); } };
struct Cos { template <typename T> static T apply(T x) { return std::cos(x); } };
struct Tanh { static float apply(float x) { return vectorTanh(x); } static double apply(double x) { return std::tanh(x); } };
struct Erf { static float apply(float x) { return vectorErf(x); } static double apply(double x) { return std::erf(x); } };
struct Sigmoid { static float apply(float x) { return vectorSigmoid(x); } static double apply(double x) { return 1.0 / (1.0 + std::exp(-x)); } };
struct Floor { template <typename T> static T apply(T x) { return std::floor(x); } };
// clang-format on

/// Integers are negated as unsigned numbers: the smallest one is its own negation.
struct Neg {
  template <typename T> static T apply(T x) {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(0 - static_cast<std::make_unsigned_t<T>>(x));
    else
      return -x;
  }
};

struct Abs {
  template <typename T> static T apply(T x) {
    if constexpr (std::is_integral_v<T>)
      return x < 0 ? Neg::apply(x) : x;
    else
      return std::abs(x);
  }
};

/// -1, 0 or 1; 0 for NaN, as in PyTorch.
struct Sign {
  template <typename T> static T apply(T x) { return static_cast<T>(T(x > T(0)) - T(x < T(0))); }
};

struct Not {
  static Bit apply(Bit x) { return {static_cast<uint8_t>(x.value == 0)}; }
};

void requireSameType(const KernelSpec &spec) {
  requireOperands(spec, 1, 1);
  require(spec.inputs[0].dtype == spec.outputs[0].dtype,
          spec.name + " of " + textOf(spec.inputs[0]) + " cannot give " + textOf(spec.outputs[0]));
}

template <typename Op> std::unique_ptr<Kernel> prepareFloat(const KernelSpec &spec) {
  requireSameType(spec);
  return dispatchAnyFloat(spec.inputs[0].dtype, "operand 0", [&](auto tag) {
    using T = typename decltype(tag)::Type;
    return elementwiseKernel(spec, unaryRow<Op, T, T>);
  });
}

template <typename Op> std::unique_ptr<Kernel> prepareNumber(const KernelSpec &spec) {
  requireSameType(spec);
  return dispatchAnyNumber(spec.inputs[0].dtype, "operand 0", [&](auto tag) {
    using T = typename decltype(tag)::Type;
    return elementwiseKernel(spec, unaryRow<Op, T, T>);
  });
}

std::unique_ptr<Kernel> prepareNot(const KernelSpec &spec) {
  requireSameType(spec);
  require(spec.inputs[0].dtype == DType::I1,
          "operand 0 is " + textOf(spec.inputs[0]) + ", expected i1");
  return elementwiseKernel(spec, unaryRow<Not, Bit, Bit>);
}

} // namespace

void deepshard::runtime::reference::addUnary(KernelTable &table) {
  table["neg"] = {prepareNumber<Neg>};
  table["abs"] = {prepareNumber<Abs>};
  table["sign"] = {prepareNumber<Sign>};
  table["exp"] = {prepareFloat<Exp>};
  table["log"] = {prepareFloat<Log>};
  table["sqrt"] = {prepareFloat<Sqrt>};
  table["rsqrt"] = {prepareFloat<Rsqrt>};
  table["reciprocal"] = {prepareFloat<Reciprocal>};
  table["sin"] = {prepareFloat<Sin>};
  table["cos"] = {prepareFloat<Cos>};
  table["tanh"] = {prepareFloat<Tanh>};
  table["erf"] = {prepareFloat<Erf>};
  table["sigmoid"] = {prepareFloat<Sigmoid>};
  table["floor"] = {prepareFloat<Floor>};
  table["not"] = {prepareNot};
}
