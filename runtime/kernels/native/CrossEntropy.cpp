//===- CrossEntropy.cpp - the loss and its gradient from the logits as they lie ---------------===//

#include "runtime/kernels/Parallel.h"
#include "runtime/kernels/Require.h"
#include "runtime/kernels/native/Native.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <fmt/format.h>
#include <immintrin.h>
#include <limits>

using namespace deepshard::runtime;
using namespace deepshard::runtime::native;

namespace {

/// The operands that both directions share, and how their rows are read.
struct Rows {
  ElementLoops loops;
  DType type; // of the logits
  size_t elementBytes;
  int64_t count, columns;
  bool isWide; // targets are i64
  int64_t ignored;
  int threads;

  Rows(const KernelSpec &spec, const Loops &loops)
      : loops(loopsFor(spec.inputs[0].dtype, loops)), type(spec.inputs[0].dtype),
        elementBytes(sizeOf(type)), count(spec.inputs[1].elements()),
        columns(spec.inputs[0].shape.back()), isWide(spec.inputs[1].dtype == DType::I64),
        ignored(spec.attributes.integer("ignore_index")), threads(spec.threads) {}

  int64_t targetOf(const void *targets, int64_t row) const {
    return isWide ? static_cast<const int64_t *>(targets)[row]
                  : static_cast<const int32_t *>(targets)[row];
  }

  size_t offset(int64_t row) const { return static_cast<size_t>(row * columns) * elementBytes; }

  /// Losses are added in the order of their rows.
  float sumOf(const float *losses) const {
    double sum = 0;
    for (int64_t row = 0; row < count; ++row)
      sum += losses[row];
    return static_cast<float>(sum);
  }
};

class CrossEntropyKernel : public Kernel {
public:
  CrossEntropyKernel(const KernelSpec &spec, const Loops &loops) : rows(spec, loops) {}

  /// The workspace holds the losses of rows.
  void run(const KernelArguments &arguments) noexcept override {
    const auto *logits = static_cast<const char *>(arguments.inputs[0]);
    auto *lse = static_cast<float *>(arguments.outputs[2]);
    auto *losses = static_cast<float *>(arguments.workspace);
    parallelRanges(rows.threads, rows.count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const char *x = logits + rows.offset(row);
        lse[row] = rows.loops.logSumExp(x, rows.columns);
        const int64_t target = rows.targetOf(arguments.inputs[1], row);
        losses[row] = target == rows.ignored ? 0 : lse[row] - logit(x, target);
      }
    });
    int64_t counted = 0;
    for (int64_t row = 0; row < rows.count; ++row)
      counted += rows.targetOf(arguments.inputs[1], row) != rows.ignored;
    *static_cast<float *>(arguments.outputs[0]) = rows.sumOf(losses);
    *static_cast<float *>(arguments.outputs[1]) = static_cast<float>(counted);
  }

private:
  /// NaN for a target that is no column.
  float logit(const char *row, int64_t target) const {
    if (target < 0 || target >= rows.columns)
      return std::numeric_limits<float>::quiet_NaN();
    uint16_t bits;
    std::memcpy(&bits, row + static_cast<size_t>(target) * sizeof(bits), sizeof(bits));
    return rows.type == DType::F16 ? _cvtsh_ss(bits)
                                   : std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  }

  Rows rows;
};

class CrossEntropyGradKernel : public Kernel {
public:
  CrossEntropyGradKernel(const KernelSpec &spec, const Loops &loops) : rows(spec, loops) {}

  void run(const KernelArguments &arguments) noexcept override {
    const auto *logits = static_cast<const char *>(arguments.inputs[0]);
    const auto *lse = static_cast<const float *>(arguments.inputs[2]);
    const float scale = *static_cast<const float *>(arguments.inputs[3]);
    auto *out = static_cast<char *>(arguments.outputs[0]);
    parallelRanges(rows.threads, rows.count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        char *to = out + rows.offset(row);
        const int64_t target = rows.targetOf(arguments.inputs[1], row);
        if (target == rows.ignored)
          std::memset(to, 0, rows.offset(1));
        else
          rows.loops.crossEntropyGrad(logits + rows.offset(row), rows.columns, target, lse[row],
                                      scale, to);
      }
    });
  }

private:
  Rows rows;
};

class CrossEntropyWithGradKernel : public Kernel {
public:
  CrossEntropyWithGradKernel(const KernelSpec &spec, const Loops &loops) : rows(spec, loops) {}

  /// A float per row and, of narrow logits, a row of floats per thread.
  size_t workspaceBytes() const {
    const int64_t scratch = rows.type == DType::F32 ? 0 : rows.threads * rows.columns;
    return static_cast<size_t>(rows.count + scratch) * sizeof(float);
  }

  void run(const KernelArguments &arguments) noexcept override {
    const auto *logits = static_cast<const char *>(arguments.inputs[0]);
    const float scale = *static_cast<const float *>(arguments.inputs[2]);
    auto *out = static_cast<char *>(arguments.outputs[0]);
    auto *losses = static_cast<float *>(arguments.workspace);
    parallelRanges(rows.threads, rows.count, 1, [&](int64_t begin, int64_t end) {
      float *scratch = losses + rows.count + omp_get_thread_num() * rows.columns;
      for (int64_t row = begin; row < end; ++row) {
        const char *x = logits + rows.offset(row);
        char *to = out + rows.offset(row);
        const int64_t target = rows.targetOf(arguments.inputs[1], row);
        if (target == rows.ignored) {
          std::memset(to, 0, rows.offset(1));
          losses[row] = 0;
          continue;
        }
        losses[row] = rows.loops.crossEntropyWithGrad(x, rows.columns, target, scale, to, scratch);
      }
    });
    *static_cast<float *>(arguments.outputs[1]) = rows.sumOf(losses);
  }

private:
  Rows rows;
};

void requireLogitsAndTargets(const TensorDesc &logits, const TensorDesc &target) {
  require((logits.dtype == DType::F32 || isNarrowFloat(logits.dtype)) && logits.rank() >= 2 &&
              logits.isContiguous(),
          fmt::format("the logits are {}, expected contiguous rows of f32, bf16 or f16",
                      textOf(logits)));
  const std::vector<int64_t> rows(logits.shape.begin(), logits.shape.end() - 1);
  require(
      (target.dtype == DType::I64 || target.dtype == DType::I32) && target.shape == rows &&
          target.isContiguous(),
      fmt::format("the targets are {}, expected a contiguous i64 or i32 per row", textOf(target)));
}

void requireGradient(const TensorDesc &result, const TensorDesc &logits) {
  require(result.dtype == logits.dtype && result.shape == logits.shape && result.isContiguous(),
          fmt::format("the result is {}, expected {}", textOf(result), textOf(logits)));
}

void requirePerRow(const TensorDesc &lse, const TensorDesc &target) {
  require(lse.dtype == DType::F32 && lse.shape == target.shape && lse.isContiguous(),
          fmt::format("lse is {}, expected a contiguous f32 per row", textOf(lse)));
}

void requireScalar(const TensorDesc &desc, const char *what) {
  require(desc.dtype == DType::F32 && desc.elements() == 1,
          fmt::format("{} is {}, expected a scalar f32", what, textOf(desc)));
}

} // namespace

Prepared deepshard::runtime::native::prepareCrossEntropy(const KernelSpec &spec,
                                                         const Loops &loops) {
  requireOperands(spec, 2, 3);
  const TensorDesc &logits = spec.inputs[0], &target = spec.inputs[1];
  requireLogitsAndTargets(logits, target);
  require(isNarrowFloat(logits.dtype) && logits.shape.back() > 0,
          fmt::format("the logits are {}, expected bf16 or f16", textOf(logits)));
  requireScalar(spec.outputs[0], "loss_sum");
  requireScalar(spec.outputs[1], "count");
  requirePerRow(spec.outputs[2], target);
  return {std::make_unique<CrossEntropyKernel>(spec, loops),
          static_cast<size_t>(target.elements()) * sizeof(float)};
}

Prepared deepshard::runtime::native::prepareCrossEntropyGrad(const KernelSpec &spec,
                                                             const Loops &loops) {
  requireOperands(spec, 4, 1);
  const TensorDesc &logits = spec.inputs[0], &target = spec.inputs[1];
  requireLogitsAndTargets(logits, target);
  requireGradient(spec.outputs[0], logits);
  requirePerRow(spec.inputs[2], target);
  requireScalar(spec.inputs[3], "dloss_sum");
  return {std::make_unique<CrossEntropyGradKernel>(spec, loops), 0};
}

Prepared deepshard::runtime::native::prepareCrossEntropyWithGrad(const KernelSpec &spec,
                                                                 const Loops &loops) {
  requireOperands(spec, 3, 2);
  const TensorDesc &logits = spec.inputs[0];
  requireLogitsAndTargets(logits, spec.inputs[1]);
  require(logits.shape.back() > 0, fmt::format("the logits are {}", textOf(logits)));
  requireScalar(spec.inputs[2], "dloss_sum");
  requireGradient(spec.outputs[0], logits);
  requireScalar(spec.outputs[1], "loss_sum");
  auto kernel = std::make_unique<CrossEntropyWithGradKernel>(spec, loops);
  const size_t bytes = kernel->workspaceBytes();
  return {std::move(kernel), bytes};
}
