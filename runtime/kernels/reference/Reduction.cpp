//===- Reduction.cpp - the dimensions and the order of a reduction ----------------------------===//

#include "runtime/kernels/reference/Reduction.h"

#include "runtime/kernels/Require.h"

#include <fmt/format.h>

using namespace deepshard::runtime;
using namespace deepshard::runtime::reference;

Reduction Reduction::of(const KernelSpec &spec) {
  requireOperands(spec, 1, 1);
  const TensorDesc &in = spec.inputs[0];
  const TensorDesc &out = spec.outputs[0];
  require(in.dtype == out.dtype,
          fmt::format("{} of {} cannot give {}", spec.name, textOf(in), textOf(out)));
  const bool keepDims = spec.attributes.flag("keep_dims");
  std::vector<bool> isReduced(in.shape.size(), false);
  for (int64_t dim : spec.attributes.integers("dims")) {
    require(dim >= 0 && dim < in.rank() && !isReduced[dim],
            fmt::format("dims names dimension {}, which {} does not have or which it named before",
                        dim, textOf(in)));
    isReduced[dim] = true;
  }
  TensorDesc keptOut{out.dtype, {}, {}}, keptIn = keptOut, reducedIn = keptOut;
  std::vector<int64_t> expected;
  for (int64_t dim = 0; dim < in.rank(); ++dim) {
    TensorDesc &group = isReduced[dim] ? reducedIn : keptIn;
    group.shape.push_back(in.shape[dim]);
    group.strides.push_back(in.strides[dim]);
    if (!isReduced[dim]) {
      const size_t at = expected.size();
      expected.push_back(in.shape[dim]);
      keptOut.strides.push_back(at < out.strides.size() ? out.strides[at] : 0);
    } else if (keepDims) {
      expected.push_back(1);
    }
  }
  require(out.shape == expected, fmt::format("the result is {}, expected {}", textOf(out),
                                             textOf(TensorDesc::contiguous(out.dtype, expected))));
  keptOut.shape = keptIn.shape;
  return {LoopNest(keptIn.shape, {keptOut, keptIn}), LoopNest(reducedIn.shape, {reducedIn})};
}

int64_t Reduction::chunks() const {
  constexpr int64_t kFewResults = 256; // up to here chunks are worth their workspace
  const int64_t chunks = (reduced.count + kFoldChunk - 1) / kFoldChunk;
  return kept.count <= kFewResults && chunks > 1 ? chunks : 1;
}

bool Reduction::foldsBlocks() const {
  return kept.count > 1 && reduced.count > 1 && kept.strides.back()[1] < reduced.strides.back()[0];
}
