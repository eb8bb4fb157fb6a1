//===- CrossEntropy.cpp - the gradient of the loss in one pass over the logits ----------------===//

#include "runtime/kernels/Parallel.h"
#include "runtime/kernels/Require.h"
#include "runtime/kernels/native/Native.h"

#include <algorithm>
#include <fmt/format.h>

using namespace deepshard::runtime;
using namespace deepshard::runtime::native;

namespace {

class CrossEntropyGradKernel : public Kernel {
public:
  CrossEntropyGradKernel(const KernelSpec &spec, const Loops &loops)
      : loop(loops.crossEntropyGrad), rows(spec.inputs[1].elements()),
        columns(spec.inputs[0].shape.back()), isWide(spec.inputs[1].dtype == DType::I64),
        ignored(spec.attributes.integer("ignore_index")), threads(spec.threads) {}

  void run(const KernelArguments &arguments) noexcept override {
    const auto *logits = static_cast<const float *>(arguments.inputs[0]);
    const auto *lse = static_cast<const float *>(arguments.inputs[2]);
    const float scale = *static_cast<const float *>(arguments.inputs[3]);
    auto *out = static_cast<float *>(arguments.outputs[0]);
    parallelRanges(threads, rows, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        float *to = out + row * columns;
        const int64_t target = targetOf(arguments.inputs[1], row);
        if (target == ignored)
          std::fill_n(to, columns, 0.0f);
        else
          loop(logits + row * columns, columns, target, lse[row], scale, to);
      }
    });
  }

private:
  int64_t targetOf(const void *targets, int64_t row) const {
    return isWide ? static_cast<const int64_t *>(targets)[row]
                  : static_cast<const int32_t *>(targets)[row];
  }

  void (*loop)(const float *, int64_t, int64_t, float, float, float *);
  int64_t rows, columns;
  bool isWide;
  int64_t ignored;
  int threads;
};

} // namespace

Prepared deepshard::runtime::native::prepareCrossEntropyGrad(const KernelSpec &spec,
                                                             const Loops &loops) {
  requireOperands(spec, 4, 1);
  const TensorDesc &logits = spec.inputs[0], &target = spec.inputs[1];
  require(logits.dtype == DType::F32 && logits.rank() >= 2 && logits.isContiguous(),
          fmt::format("the logits are {}, expected contiguous f32 rows", textOf(logits)));
  const std::vector<int64_t> rows(logits.shape.begin(), logits.shape.end() - 1);
  const TensorDesc &result = spec.outputs[0];
  require(result.dtype == DType::F32 && result.shape == logits.shape && result.isContiguous(),
          fmt::format("the result is {}, expected {}", textOf(result), textOf(logits)));
  require(
      (target.dtype == DType::I64 || target.dtype == DType::I32) && target.shape == rows &&
          target.isContiguous(),
      fmt::format("the targets are {}, expected a contiguous i64 or i32 per row", textOf(target)));
  const TensorDesc &lse = spec.inputs[2];
  require(lse.dtype == DType::F32 && lse.shape == rows && lse.isContiguous(),
          fmt::format("lse is {}, expected a contiguous f32 per row", textOf(lse)));
  require(spec.inputs[3].dtype == DType::F32 && spec.inputs[3].elements() == 1,
          fmt::format("dloss_sum is {}, expected a scalar f32", textOf(spec.inputs[3])));
  return {std::make_unique<CrossEntropyGradKernel>(spec, loops), 0};
}
