//===- Convert.cpp - conversion between element types -----------------------------------------===//

#include "runtime/kernels/reference/Conversion.h"
#include "runtime/kernels/reference/LoopNest.h"
#include "runtime/kernels/reference/Reference.h"
#include "runtime/kernels/reference/Rows.h"
#include "runtime/kernels/reference/Types.h"

using namespace deepshard::runtime;
using namespace deepshard::runtime::reference;

namespace {

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
