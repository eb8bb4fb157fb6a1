//===- Matmul.cpp - matmul and linear as calls of oneDNN --------------------------------------===//
//
// oneDNN's matmul has one m, one n and one k dimension and any number of batch dimensions in front,
// each with its own stride. Lists of dimensions that continue each other in memory are one
// dimension to it; a row-major result is required, so a column-major one is computed as the
// transposed product with operands exchanged.
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/kernels/Contraction.h"
#include "runtime/kernels/Require.h"
#include "runtime/kernels/onednn/Primitive.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

using namespace deepshard::runtime;
using namespace deepshard::runtime::onednn;
using dnnl::memory;

namespace {

/// dst[batch.., m, n] = src[batch.., m, k] weights[batch.., k, n] (+ bias[n]).
struct Product {
  memory::desc src, weights, dst;
  std::optional<memory::desc> bias;
  unsigned srcInput = 0, weightsInput = 1; // which operands of the kernel they are
};

/// The one dimension that a list stands for. A dimension of size 1 gets the strides of a dense one.
ContractionDim single(const std::vector<ContractionDim> &dims, const char *what) {
  require(dims.size() <= 1,
          fmt::format("the {} dimensions are not contiguous with each other", what));
  return dims.empty() ? ContractionDim{1, 0, 0, 0} : dims[0];
}

Product productOf(const KernelSpec &spec) {
  Contraction dims = Contraction::of(spec);
  requireFloats(spec);
  ContractionDim m = single(dims.m, "free lhs"), n = single(dims.n, "free rhs"),
                 k = single(dims.k, "contracting");
  require(k.size > 0, "there is nothing to contract");
  unsigned lhs = 0, rhs = 1;
  if (n.size > 1 && n.out != 1) {
    // (A B)^T = B^T A^T: the result becomes row-major.
    std::swap(m, n);
    std::swap(lhs, rhs);
    for (std::vector<ContractionDim> *group : {&dims.batch})
      for (ContractionDim &dim : *group)
        std::swap(dim.lhs, dim.rhs);
    for (ContractionDim *dim : {&m, &n, &k})
      std::swap(dim->lhs, dim->rhs);
  }
  memory::dims srcShape, srcStrides, weightsShape, weightsStrides, dstShape, dstStrides;
  for (const ContractionDim &dim : dims.batch) {
    // A repeated operand has size 1 there.
    srcShape.push_back(dim.lhs == 0 ? 1 : dim.size);
    srcStrides.push_back(dim.lhs == 0 ? m.size * k.size : dim.lhs);
    weightsShape.push_back(dim.rhs == 0 ? 1 : dim.size);
    weightsStrides.push_back(dim.rhs == 0 ? n.size * k.size : dim.rhs);
    dstShape.push_back(dim.size);
    dstStrides.push_back(dim.out);
  }
  require(dims.batch.size() <= 3,
          "more than three batch dimensions are not contiguous with each other");
  auto append = [](memory::dims &shape, memory::dims &strides, int64_t rows, int64_t rowStride,
                   int64_t columns, int64_t columnStride) {
    // A size of 1 has no stride of its own; oneDNN wants to see a dense matrix.
    if (columns == 1)
      columnStride = rowStride == 1 && rows > 1 ? rows : 1;
    if (rows == 1)
      rowStride = columnStride == 1 ? columns : 1;
    require(rowStride != 0 && columnStride != 0, "an operand repeats its elements within a matrix");
    shape.insert(shape.end(), {rows, columns});
    strides.insert(strides.end(), {rowStride, columnStride});
  };
  append(srcShape, srcStrides, m.size, m.lhs, k.size, k.lhs);
  append(weightsShape, weightsStrides, k.size, k.rhs, n.size, n.rhs);
  append(dstShape, dstStrides, m.size, m.out, n.size, n.out);
  if (n.size == 1)
    dstStrides.back() = 1; // one column is row-major whatever its step
  const memory::data_type type = typeOf(spec.inputs[0].dtype);
  return {memory::desc(srcShape, type, srcStrides),
          memory::desc(weightsShape, type, weightsStrides),
          memory::desc(dstShape, typeOf(spec.outputs[0].dtype), dstStrides),
          std::nullopt,
          lhs,
          rhs};
}

Call callOf(const Product &product, int threads, bool adds) {
  Call call;
  auto create = [&](const dnnl::primitive_attr &attributes) {
    using dnnl::matmul;
    const matmul::desc operation =
        product.bias ? matmul::desc(product.src, product.weights, *product.bias, product.dst)
                     : matmul::desc(product.src, product.weights, product.dst);
    return matmul::primitive_desc(operation, attributes, cpuEngine());
  };
  call.description = describe(threads, create, adds);
  call.operands = {
      {DNNL_ARG_SRC, false, product.srcInput, product.src, product.src},
      {DNNL_ARG_WEIGHTS, false, product.weightsInput, product.weights, product.weights},
      {DNNL_ARG_DST, true, 0, product.dst, product.dst}};
  if (product.bias)
    call.operands.push_back({DNNL_ARG_BIAS, false, 2, *product.bias, *product.bias});
  return call;
}

} // namespace

Call deepshard::runtime::onednn::matmulCall(const KernelSpec &spec, bool adds) {
  return callOf(productOf(spec), spec.threads, adds);
}

/// x [.., k], w ([k, n..], or [n.., k] with `transpose_weight`), optional bias [n..] -> [.., n..].
Call deepshard::runtime::onednn::linearCall(const KernelSpec &spec, bool adds) {
  requireOperands(spec, spec.inputs.size() == 3 ? 3 : 2, 1);
  const TensorDesc &x = spec.inputs[0], &weight = spec.inputs[1];
  require(
      x.rank() >= 1 && weight.rank() >= 2,
      fmt::format("linear of {} and {}: expected [.., k] and a matrix", textOf(x), textOf(weight)));
  const bool transposed = spec.attributes.flag("transpose_weight");
  const int64_t contract = transposed ? weight.rank() - 1 : 0;
  KernelSpec matmul{"matmul", {x, weight}, spec.outputs, {}, spec.threads};
  matmul.attributes = {{"lhs_batch", std::vector<int64_t>{}},
                       {"rhs_batch", std::vector<int64_t>{}},
                       {"lhs_contract", std::vector<int64_t>{x.rank() - 1}},
                       {"rhs_contract", std::vector<int64_t>{contract}}};
  Product product = productOf(matmul);
  if (spec.inputs.size() == 2)
    return callOf(product, spec.threads, adds);
  const TensorDesc &bias = spec.inputs[2];
  const std::vector<int64_t> columns(weight.shape.begin() + (transposed ? 0 : 1),
                                     weight.shape.end() - (transposed ? 1 : 0));
  require(bias.shape == columns && bias.dtype == x.dtype,
          fmt::format("the bias is {}, expected {}[{}]", textOf(bias), nameOf(x.dtype),
                      fmt::join(columns, ", ")));
  const int64_t n = bias.elements();
  require(bias.isContiguous(), "the bias is not contiguous");
  require(product.srcInput == 0, "the result is not row-major");
  product.bias = memory::desc({1, n}, typeOf(bias.dtype), memory::dims{n, 1});
  return callOf(product, spec.threads, adds);
}
