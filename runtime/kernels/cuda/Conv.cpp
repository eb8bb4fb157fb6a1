//===- Conv.cpp - which convolutions cuDNN is asked for ---------------------------------------===//

#include "runtime/kernels/cuda/Conv.h"

#include "runtime/kernels/Require.h"
#include "runtime/kernels/cuda/Product.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace deepshard::runtime::cuda {

namespace {

/// Where a part of the workspace begins.
constexpr uint64_t kPartBytes = 256;

uint64_t upTo(uint64_t size, uint64_t tile) { return (size + tile - 1) / tile * tile; }

bool isWidened(const KernelSpec &spec) { return spec.inputs[0].dtype != spec.outputs[0].dtype; }

/// Bytes of `tensor` with its channels, dimension 1, in eights.
uint64_t channelsInEights(const TensorDesc &tensor, uint64_t elementBytes) {
  const auto channels = static_cast<uint64_t>(tensor.shape[1]);
  return static_cast<uint64_t>(tensor.elements()) / channels * upTo(channels, 8) * elementBytes;
}

} // namespace

uint64_t ConvWorkspace::copiedBytes() const {
  return std::accumulate(copies.begin(), copies.end(), uint64_t{0});
}

bool isConv(const KernelSpec &spec) { return spec.name.starts_with("convolution"); }

Convolution convOf(const KernelSpec &spec) {
  Convolution convolution = Convolution::of(spec);
  const DType type = spec.inputs[0].dtype;
  require(type == DType::F32 || isNarrowFloat(type),
          fmt::format("elements are {}, expected f32, bf16 or f16", nameOf(type)));
  for (const TensorDesc *tensor : {&convolution.x, &convolution.weight, &convolution.y}) {
    require(tensor->isContiguous(), fmt::format("{} is not contiguous", textOf(*tensor)));
    require(tensor->elements() > 0, fmt::format("{} has no elements", textOf(*tensor)));
  }
  return convolution;
}

ConvWorkspace convWorkspace(const KernelSpec &spec) {
  const Convolution convolution = convOf(spec);
  ConvWorkspace workspace = {kProductWorkspace, {}};
  if (isWidened(spec))
    for (const TensorDesc &input : spec.inputs)
      workspace.copies.push_back(
          upTo(static_cast<uint64_t>(input.elements()) * sizeof(float), kPartBytes));
  const size_t elementBytes = sizeOf(spec.outputs[0].dtype);
  for (const TensorDesc *tensor : {&convolution.x, &convolution.weight, &convolution.y})
    workspace.bytes += upTo(channelsInEights(*tensor, elementBytes), kPartBytes);
  workspace.bytes += workspace.copiedBytes();
  return workspace;
}

KernelSpec convCall(const KernelSpec &spec) {
  const ConvWorkspace workspace = convWorkspace(spec);
  KernelSpec call = spec;
  if (!isWidened(spec))
    return call;
  const uint64_t given = workspaceAttribute(spec), copied = workspace.copiedBytes();
  require(given >= copied, fmt::format("its copies in f32 need a workspace of {} bytes, the plan "
                                       "gives it {}",
                                       copied, given));
  for (TensorDesc &input : call.inputs)
    input.dtype = DType::F32;
  call.attributes.set("workspace_bytes", static_cast<int64_t>(given - copied));
  call.attributes.set(kTf32Values, true);
  return call;
}

} // namespace deepshard::runtime::cuda
