//===- Primitives.cpp - which primitives provider "cuda" takes --------------------------------===//

#include "runtime/kernels/cuda/Primitives.h"

#include "runtime/kernels/Providers.h"
#include "runtime/kernels/Require.h"
#include "runtime/kernels/cuda/Plans.h"

#include <algorithm>

namespace deepshard::runtime::cuda {

static_assert(kMostNestDims == kMaxRank && kMostNestOperands == reference::kMaxNestOperands);
static_assert(static_cast<int>(Element::I1) == static_cast<int>(DType::I1) &&
              static_cast<int>(Element::BF16) == static_cast<int>(DType::BF16));

Nest nestOf(const reference::LoopNest &loops) {
  Nest nest = {};
  nest.count = loops.count;
  nest.rank = static_cast<int64_t>(loops.shape.size());
  for (size_t dim = 0; dim < loops.shape.size(); ++dim) {
    nest.shape[dim] = loops.shape[dim];
    std::copy_n(loops.strides[dim].begin(), kMostNestOperands, nest.strides[dim]);
  }
  return nest;
}

Nest nestOf(const std::vector<int64_t> &shape, const std::vector<TensorDesc> &operands) {
  return nestOf(reference::LoopNest(shape, operands));
}

Nest nestInRowMajorOrder(const TensorDesc &operand) {
  Nest nest = {};
  nest.count = operand.elements();
  for (size_t dim = 0; dim < operand.shape.size(); ++dim) {
    int64_t size = operand.shape[dim];
    int64_t step = operand.strides[dim] * static_cast<int64_t>(sizeOf(operand.dtype));
    if (size == 1)
      continue;
    int64_t last = nest.rank - 1;
    if (last >= 0 && nest.strides[last][0] == step * size) {
      nest.shape[last] *= size;
      nest.strides[last][0] = step;
      continue;
    }
    nest.shape[nest.rank] = size;
    nest.strides[nest.rank++][0] = step;
  }
  if (nest.rank == 0)
    nest.shape[nest.rank++] = 1;
  return nest;
}

Element elementOf(DType dtype) { return static_cast<Element>(dtype); }

const char *computedIn(DType dtype) {
  switch (dtype) {
  case DType::F64:
    return "f64";
  case DType::F32:
  case DType::BF16:
  case DType::F16:
    return "f32";
  default:
    return "i64";
  }
}

int64_t blocksFor(int64_t count) {
  constexpr int64_t kMostBlocks = 16384; // several times what any GPU runs at once
  return std::clamp<int64_t>((count + kThreads - 1) / kThreads, 1, kMostBlocks);
}

LaunchStep zeros(const TensorDesc &out) {
  FillParameters parameters = {};
  parameters.nest = nestOf(out.shape, {out});
  parameters.width = static_cast<int32_t>(sizeOf(out.dtype));
  return LaunchStep::of("ds_fill", blocksFor(parameters.nest.count), kThreads, parameters,
                        {Place::output(0)});
}

static const PlanTable &plans() {
  static const PlanTable table = [] {
    PlanTable all;
    for (auto *add :
         {addElementwise, addLayout, addReduce, addIndexing, addEmbeddingGrad, addUpdate})
      add(all);
    return all;
  }();
  return table;
}

Steps stepsOf(const KernelSpec &spec) {
  auto found = plans().find(spec.name);
  require(found != plans().end(), "there is no kernel of CUDA called " + spec.name);
  std::optional<std::string> reason = referenceProvider().whyNot(spec);
  require(!reason, reason.value_or(""));
  return found->second(spec);
}

} // namespace deepshard::runtime::cuda
