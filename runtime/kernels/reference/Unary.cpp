//===- Unary.cpp - elementwise functions of one operand ---------------------------------------===//

#include "runtime/kernels/reference/LoopNest.h"
#include "runtime/kernels/reference/Reference.h"
#include "runtime/kernels/reference/Rows.h"
#include "runtime/kernels/reference/Types.h"
#include "runtime/kernels/reference/UnaryFunctions.h"

using namespace deepshard::runtime;
using namespace deepshard::runtime::reference;

namespace {

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
  table["ndtr"] = {prepareFloat<Ndtr>};
  table["sigmoid"] = {prepareFloat<Sigmoid>};
  table["floor"] = {prepareFloat<Floor>};
  table["not"] = {prepareNot};
}
