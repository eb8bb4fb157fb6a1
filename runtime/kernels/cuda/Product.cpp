//===- Product.cpp - matmul and linear as products of cuBLASLt --------------------------------===//

#include "runtime/kernels/cuda/Product.h"

#include "runtime/kernels/Accumulate.h"
#include "runtime/kernels/Require.h"

#include <fmt/format.h>

#include <utility>

namespace deepshard::runtime::cuda {

namespace {

ContractionDim single(const std::vector<ContractionDim> &dims, const char *what) {
  require(dims.size() <= 1,
          fmt::format("the {} dimensions are not contiguous with each other", what));
  return dims.empty() ? ContractionDim{1, 0, 0, 0} : dims[0];
}

/// The matrix rows x columns with these steps, as it is or as the transposed of what is stored.
Matrix matrixOf(int64_t rows, int64_t rowStep, int64_t columns, int64_t columnStep) {
  if (rowStep == 1 || rows == 1)
    return {rows, columns, columns == 1 ? rows : columnStep, false};
  require(columnStep == 1 || columns == 1, "neither dimension of an operand is contiguous");
  return {columns, rows, rowStep, true};
}

void requireSteps(const Matrix &matrix) {
  require(matrix.leading >= matrix.rows, "an operand repeats its elements within a matrix");
}

/// Each call of an outer batch dimension begins where the library expects operands to.
void requireAlignedSteps(const Product &product) {
  auto isAligned = [](int64_t step, DType type) {
    return step * static_cast<int64_t>(sizeOf(type)) % kProductAlignment == 0;
  };
  for (const ContractionDim &outer : product.outer)
    require(isAligned(outer.rhs, product.operandType) &&
                isAligned(outer.lhs, product.operandType) &&
                isAligned(outer.out, product.resultType),
            fmt::format("an outer batch dimension steps by {}, {} and {} elements, which are no "
                        "multiples of {} bytes",
                        outer.lhs, outer.rhs, outer.out, kProductAlignment));
}

Product productOfMatmul(const KernelSpec &matmul) {
  Contraction dims = Contraction::of(matmul);
  Product product;
  product.operandType = matmul.inputs[0].dtype;
  product.resultType = matmul.outputs[0].dtype;
  for (DType type : {product.operandType, product.resultType})
    require(type == DType::F32 || type == DType::F64 || type == DType::BF16 || type == DType::F16,
            fmt::format("elements of type {}", nameOf(type)));
  ContractionDim m = single(dims.m, "free lhs"), n = single(dims.n, "free rhs"),
                 k = single(dims.k, "contracting");
  require(k.size > 0, "there is nothing to contract");
  require(matmul.outputs[0].elements() > 0, "the result has no elements");
  if (n.size > 1 && n.out != 1) {
    // A column-major result is the row-major one of the operands exchanged.
    std::swap(m, n);
    std::swap(product.aInput, product.bInput);
    for (ContractionDim *dim : {&m, &n, &k})
      std::swap(dim->lhs, dim->rhs);
    for (ContractionDim &dim : dims.batch)
      std::swap(dim.lhs, dim.rhs);
  }
  product.a = matrixOf(n.size, n.rhs, k.size, k.rhs);
  product.b = matrixOf(k.size, k.lhs, m.size, m.lhs);
  product.d = matrixOf(n.size, n.out, m.size, m.out);
  require(!product.d.isTransposed, "the result is contiguous along no dimension");
  for (const Matrix *matrix : {&product.a, &product.b, &product.d})
    requireSteps(*matrix);
  product.outer = dims.batch;
  if (!product.outer.empty()) {
    const ContractionDim &inner = product.outer.back();
    product.batch = inner.size;
    product.aStride = inner.rhs;
    product.bStride = inner.lhs;
    product.dStride = inner.out;
    product.outer.pop_back();
  }
  requireAlignedSteps(product);
  return product;
}

/// x [.., k], w ([k, n..], or [n.., k] with `transpose_weight`) as a matmul.
KernelSpec asMatmul(const KernelSpec &linear) {
  const TensorDesc &x = linear.inputs[0], &weight = linear.inputs[1];
  require(x.rank() >= 1 && weight.rank() >= 2, "expected [.., k] and a matrix");
  int64_t contract = linear.attributes.flag("transpose_weight") ? weight.rank() - 1 : 0;
  KernelSpec spec{"matmul", {x, weight}, linear.outputs, {}, linear.threads};
  spec.attributes = {{"lhs_batch", std::vector<int64_t>{}},
                     {"rhs_batch", std::vector<int64_t>{}},
                     {"lhs_contract", std::vector<int64_t>{x.rank() - 1}},
                     {"rhs_contract", std::vector<int64_t>{contract}}};
  return spec;
}

} // namespace

Product productOf(const KernelSpec &spec) {
  bool isLinear = spec.name == "linear";
  require(isLinear || spec.name == "matmul", "there is no cuBLASLt kernel called " + spec.name);
  bool adds = accumulates(spec);
  size_t operands = spec.inputs.size() - (adds && !spec.inputs.empty() ? 1 : 0);
  require(spec.outputs.size() == 1 && operands >= 2 && operands <= (isLinear ? 3u : 2u),
          fmt::format("{} inputs and {} outputs", spec.inputs.size(), spec.outputs.size()));
  KernelSpec matmul = isLinear ? asMatmul(spec) : spec;
  matmul.inputs.resize(2);
  Product product = productOfMatmul(matmul);
  product.accumulates = adds;
  if (adds)
    require(spec.inputs.back() == spec.outputs[0],
            fmt::format("{} is to be added to {}", textOf(spec.inputs.back()),
                        textOf(spec.outputs[0])));
  if (operands == 3) {
    const TensorDesc &bias = spec.inputs[2];
    require(
        bias.isContiguous() && bias.elements() == product.d.rows && product.aInput == 1,
        fmt::format("the bias {} does not lie along contiguous rows of the result", textOf(bias)));
    require(bias.dtype == product.resultType,
            fmt::format("the bias {} is not of the result's type {}", textOf(bias),
                        nameOf(product.resultType)));
    // PyTorch asks the library for no such bias. If it has no kernel a plan has no other; so adding
    // becomes an op of its own.
    require(product.d.rows > 1 && product.contracted() > 1,
            "a bias of one number, or of sums of one product");
    product.bias = bias.dtype;
  }
  return product;
}

} // namespace deepshard::runtime::cuda
