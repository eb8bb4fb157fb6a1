//===- Dropout.cpp - dropout by counter -------------------------------------------------------===//

#include "runtime/kernels/Parallel.h"
#include "runtime/kernels/Philox.h"
#include "runtime/kernels/reference/LoopNest.h"
#include "runtime/kernels/reference/Reference.h"
#include "runtime/kernels/reference/Types.h"

#include <fmt/format.h>

using namespace deepshard::runtime;
using namespace deepshard::runtime::reference;

namespace {

constexpr int64_t kRow = 1024; // elements whose mask is computed at once

template <typename T> class DropoutKernel : public Kernel {
public:
  explicit DropoutKernel(const KernelSpec &spec)
      : x(spec.inputs[0]), result(spec.outputs[0]), p(spec.attributes.number("p")),
        id(spec.attributes.integer("id")), scale(p < 1 ? 1 / (1 - p) : 0), threads(spec.threads),
        global(x), globalElements(x.elements()) {
    if (spec.attributes.has("global_shape")) {
      const TensorDesc whole =
          TensorDesc::contiguous(x.dtype, spec.attributes.integers("global_shape"));
      global.strides = whole.strides;
      globalElements = whole.elements();
    } else {
      global.strides = TensorDesc::contiguous(x.dtype, x.shape).strides;
    }
  }

  void run(const KernelArguments &arguments) noexcept override {
    const DropoutMask mask(static_cast<const int64_t *>(arguments.inputs[1]), p, id,
                           globalElements);
    const int64_t start = arguments.inputs.size() > 2
                              ? startOf(static_cast<const int64_t *>(arguments.inputs[2]))
                              : 0;
    const auto *from = static_cast<const T *>(arguments.inputs[0]);
    auto *to = static_cast<T *>(arguments.outputs[0]);
    const int64_t inner = x.rank() > 0 ? x.shape.back() : 1;
    parallelRanges(threads, x.elements(), kRow, [&](int64_t begin, int64_t end) {
      // Rows end where the innermost dimension does, so that both sides advance by one stride.
      for (int64_t i = begin; i < end;) {
        const int64_t count = std::min({kRow, end - i, inner - i % inner});
        runRow(mask, from + offsetOf(x, i), to + offsetOf(result, i), start + offsetOf(global, i),
               count);
        i += count;
      }
    });
  }

private:
  /// The index in the whole tensor of the element at `offsets`.
  int64_t startOf(const int64_t *offsets) const {
    int64_t start = 0;
    for (int64_t dim = 0; dim < global.rank(); ++dim)
      start += offsets[dim] * global.strides[dim];
    return start;
  }

  void runRow(const DropoutMask &mask, const T *from, T *to, int64_t index, int64_t count) const {
    uint8_t kept[kRow];
    mask.keepRow(index, count, kept);
    const int64_t fromStride = x.rank() > 0 ? x.strides.back() : 1;
    const int64_t toStride = result.rank() > 0 ? result.strides.back() : 1;
    const auto factor = static_cast<T>(scale);
    if (fromStride == 1 && toStride == 1) {
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) {
        const T scaled = from[i] * factor;
        to[i] = kept[i] ? scaled : T(0);
      }
      return;
    }
    for (int64_t i = 0; i < count; ++i)
      to[i * toStride] = kept[i] ? from[i * fromStride] * factor : T(0);
  }

  TensorDesc x, result;
  double p;
  int64_t id;
  double scale;
  int threads;
  TensorDesc global; // the sizes of x with the strides of the whole tensor
  int64_t globalElements;
};

/// x and counter i64[3] = {seed, step, micro-batch}; attributes p, the probability to drop, and id,
/// which tells the random ops of a model apart. Kept elements are scaled by 1 / (1 - p), dropped
/// ones are 0 whatever they were. With operand offsets i64[rank] and attribute global_shape, x is
/// the part that begins at offsets of a tensor of that shape.
std::unique_ptr<Kernel> prepareDropout(const KernelSpec &spec) {
  const bool isPart = spec.attributes.has("global_shape");
  requireOperands(spec, isPart ? 3 : 2, 1);
  const TensorDesc &x = spec.inputs[0];
  require(spec.inputs[1] == TensorDesc::contiguous(DType::I64, {3}),
          "operand 1, the counter, is " + textOf(spec.inputs[1]) +
              ", expected a contiguous i64[3]");
  require(x.dtype == spec.outputs[0].dtype && x.shape == spec.outputs[0].shape,
          fmt::format("dropout of {} cannot give {}", textOf(x), textOf(spec.outputs[0])));
  if (isPart) {
    require(spec.inputs[2] == TensorDesc::contiguous(DType::I64, {x.rank()}),
            fmt::format("operand 2, the offsets, is {}, expected a contiguous i64[{}]",
                        textOf(spec.inputs[2]), x.rank()));
    require(static_cast<int64_t>(spec.attributes.integers("global_shape").size()) == x.rank(),
            "global_shape does not have the rank of " + textOf(x));
  }
  const double p = spec.attributes.number("p");
  require(p >= 0 && p <= 1, fmt::format("p is {}, expected a probability", p));
  return dispatchFloat(x.dtype, "operand 0", [&](auto tag) -> std::unique_ptr<Kernel> {
    return std::make_unique<DropoutKernel<typename decltype(tag)::Type>>(spec);
  });
}

} // namespace

void deepshard::runtime::reference::addDropout(KernelTable &table) {
  table["dropout"] = {prepareDropout};
}
