//===- Contraction.cpp - the dimensions of a matmul -------------------------------------------===//

#include "runtime/kernels/Contraction.h"

#include "runtime/kernels/Require.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

using namespace deepshard::runtime;

namespace {

/// Marks the dimensions named by attribute `name`; each may be named once.
void mark(const KernelSpec &spec, std::string_view name, const TensorDesc &desc,
          std::vector<bool> &isNamed) {
  for (int64_t dim : spec.attributes.integers(name)) {
    require(dim >= 0 && dim < desc.rank() && !isNamed[dim],
            fmt::format("{} names dimension {}, which {} does not have or which was named before",
                        name, dim, textOf(desc)));
    isNamed[dim] = true;
  }
}

/// Pairs the dimensions that the two attributes list.
std::vector<ContractionDim> paired(const KernelSpec &spec, std::string_view lhsName,
                                   std::string_view rhsName) {
  const TensorDesc &lhs = spec.inputs[0], &rhs = spec.inputs[1];
  const std::vector<int64_t> &lhsDims = spec.attributes.integers(lhsName);
  const std::vector<int64_t> &rhsDims = spec.attributes.integers(rhsName);
  require(lhsDims.size() == rhsDims.size(), fmt::format("{} has {} entries, {} has {}", lhsName,
                                                        lhsDims.size(), rhsName, rhsDims.size()));
  std::vector<ContractionDim> pairs;
  for (size_t i = 0; i < lhsDims.size(); ++i) {
    const int64_t l = lhsDims[i], r = rhsDims[i];
    require(lhs.shape[l] == rhs.shape[r],
            fmt::format("dimension {} of {} is paired with dimension {} of {}", l, textOf(lhs), r,
                        textOf(rhs)));
    pairs.push_back({lhs.shape[l], lhs.strides[l], rhs.strides[r], 0});
  }
  return pairs;
}

bool continues(const ContractionDim &outer, const ContractionDim &inner) {
  return outer.lhs == inner.lhs * inner.size && outer.rhs == inner.rhs * inner.size &&
         outer.out == inner.out * inner.size;
}

std::vector<ContractionDim> merged(const std::vector<ContractionDim> &dims) {
  std::vector<ContractionDim> result;
  for (const ContractionDim &dim : dims) {
    if (dim.size == 1)
      continue;
    if (!result.empty() && continues(result.back(), dim)) {
      const int64_t size = result.back().size * dim.size;
      result.back() = dim;
      result.back().size = size;
    } else {
      result.push_back(dim);
    }
  }
  return result;
}

} // namespace

Contraction Contraction::of(const KernelSpec &spec) {
  requireOperands(spec, 2, 1);
  const TensorDesc &lhs = spec.inputs[0], &rhs = spec.inputs[1], &out = spec.outputs[0];
  require(lhs.dtype == rhs.dtype && givesDType(lhs.dtype, out.dtype),
          fmt::format("matmul of {} and {} cannot give {}", textOf(lhs), textOf(rhs), textOf(out)));
  std::vector<bool> inLhs(lhs.shape.size(), false), inRhs(rhs.shape.size(), false);
  mark(spec, "lhs_batch", lhs, inLhs);
  mark(spec, "lhs_contract", lhs, inLhs);
  mark(spec, "rhs_batch", rhs, inRhs);
  mark(spec, "rhs_contract", rhs, inRhs);
  Contraction dims{
      paired(spec, "lhs_batch", "rhs_batch"), {}, {}, paired(spec, "lhs_contract", "rhs_contract")};
  for (int64_t dim = 0; dim < lhs.rank(); ++dim)
    if (!inLhs[dim])
      dims.m.push_back({lhs.shape[dim], lhs.strides[dim], 0, 0});
  for (int64_t dim = 0; dim < rhs.rank(); ++dim)
    if (!inRhs[dim])
      dims.n.push_back({rhs.shape[dim], 0, rhs.strides[dim], 0});
  std::vector<int64_t> expected;
  for (std::vector<ContractionDim> *group : {&dims.batch, &dims.m, &dims.n})
    for (ContractionDim &dim : *group) {
      if (expected.size() < out.strides.size())
        dim.out = out.strides[expected.size()];
      expected.push_back(dim.size);
    }
  require(out.shape == expected, fmt::format("the result of matmul is {}, expected {}", textOf(out),
                                             textOf(TensorDesc::contiguous(out.dtype, expected))));
  return {merged(dims.batch), merged(dims.m), merged(dims.n), merged(dims.k)};
}
