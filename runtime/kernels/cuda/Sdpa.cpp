//===- Sdpa.cpp - which attention cuDNN is asked for ------------------------------------------===//

#include "runtime/kernels/cuda/Sdpa.h"

#include "runtime/kernels/Providers.h"
#include "runtime/kernels/Require.h"

#include <fmt/format.h>

#include <algorithm>

namespace deepshard::runtime::cuda {

namespace {

/// The largest head that all kernels for gradients take.
constexpr int64_t kMostHeadSize = 128;
constexpr int64_t kElementBytes = 2;

void requireSteps(const TensorDesc &desc) {
  require(desc.strides[3] == 1,
          fmt::format("the elements of a head of {} are not next to each other", textOf(desc)));
  for (int dim = 0; dim < 3; ++dim)
    require(desc.shape[dim] == 1 ||
                (desc.strides[dim] > 0 && desc.strides[dim] * kElementBytes % kGraphAlignment == 0),
            fmt::format("{} has a stride that is no multiple of {} bytes", textOf(desc),
                        kGraphAlignment));
}

} // namespace

Attention sdpaOf(const KernelSpec &spec) {
  Attention attention = attentionOf(spec);
  const AttentionCall &call = attention.call;
  require(isNarrowFloat(attention.dtype),
          fmt::format("q is {}, expected bf16 or f16", nameOf(attention.dtype)));
  require(call.maskKind == MaskKind::None, "there is a mask");
  require(call.dropout == 0, "there is dropout, whose numbers are not cuDNN's");
  require(attention.optional.offsets < 0 && attention.optional.diagonal < 0,
          "it is a part of a larger attention");
  require(call.d == call.e && call.d % 8 == 0 && call.d <= kMostHeadSize,
          fmt::format("heads of {} and {} elements, expected equal multiples of 8 up to {}", call.d,
                      call.e, kMostHeadSize));
  require(std::min({call.b, call.h, call.s, call.t, call.d}) > 0, "there are no elements");
  require(call.s > 1 || call.t > 1, "one query and one key");
  // Known faults up to cuDNN 9.25 (NVIDIA/cudnn-frontend, issues 628 and 1072): dQ of a row with
  // very small scores, dK and dV of a single query are no numbers.
  require(!attention.isGrad || call.causal || call.t % 128 != 64,
          fmt::format("the gradient of {} keys, half a tile more than whole tiles", call.t));
  require(!attention.isGrad || call.s > 1, "the gradient of one query");
  require(!call.causal || call.s <= call.t,
          fmt::format("causal with {} queries and {} keys: some see no key", call.s, call.t));
  auto check = [](const TensorDesc &desc) {
    if (desc.rank() == 4)
      requireSteps(desc);
    else
      require(desc.isContiguous(), fmt::format("lse is {}, expected contiguous", textOf(desc)));
  };
  std::for_each(spec.inputs.begin(), spec.inputs.end(), check);
  std::for_each(spec.outputs.begin(), spec.outputs.end(), check);
  return attention;
}

uint64_t sdpaWorkspace(const Attention &attention) {
  constexpr int64_t kEngine = 256; // what a kernel takes for itself
  if (!attention.isGrad)
    return kEngine;
  const AttentionCall &call = attention.call;
  auto upTo = [](int64_t size, int64_t tile) { return (size + tile - 1) / tile * tile; };
  int64_t heads = call.b * call.h;
  int64_t rowSums = heads * call.s * sizeof(float);
  // dK and dV of every head, where heads share them.
  int64_t ungrouped = call.h == call.g ? 0 : 2 * heads * call.t * call.d * kElementBytes;
  // Up to sm_90 and on sm_120, whose deterministic kernels keep all of dP; sm_100 needs `ungrouped`
  // once more instead.
  int64_t scores = heads * upTo(call.s, 64) * upTo(call.t, 128) * kElementBytes;
  return static_cast<uint64_t>(upTo(rowSums + ungrouped, kLibraryWorkspaceAlignment) +
                               upTo(std::max(scores, ungrouped) + kEngine, kEngine));
}

} // namespace deepshard::runtime::cuda
