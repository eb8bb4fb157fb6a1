//===- Update.cpp - the optimizer's step and the gradient's norm over flat buffers ------------===//

#include "runtime/kernels/AdamW.h"
#include "runtime/kernels/Parallel.h"
#include "runtime/kernels/Require.h"
#include "runtime/kernels/native/Native.h"

#include <fmt/format.h>

using namespace deepshard::runtime;
using namespace deepshard::runtime::native;

namespace {

constexpr int64_t kBlock = 65536; // elements summed at a time by sum_squares
constexpr int64_t kGrain = 16384; // elements updated by one thread at least

void requireFlat(const TensorDesc &desc, const char *what, size_t index) {
  require(desc.dtype == DType::F32 && desc.isContiguous(),
          fmt::format("{} {} is {}{}, expected contiguous f32", what, index, textOf(desc),
                      desc.isContiguous() ? "" : ", not contiguous"));
}

class AdamWKernel : public Kernel {
public:
  AdamWKernel(const KernelSpec &spec, const Loops &loops)
      : options(AdamWOptions::of(spec.attributes)),
        loop(spec.outputs.size() > 3 ? loopsFor(spec.outputs[3].dtype, loops).adamw
                                     : loops.f32.adamw),
        count(spec.inputs[0].elements()), threads(spec.threads) {}

  void run(const KernelArguments &arguments) noexcept override {
    const AdamWStep step = adamWStepOf(options, arguments.inputs);
    const float *in[4];
    float *out[3];
    for (int i = 0; i < 4; ++i)
      in[i] = static_cast<const float *>(arguments.inputs[i]);
    for (int i = 0; i < 3; ++i)
      out[i] = static_cast<float *>(arguments.outputs[i]);
    void *copy = arguments.outputs.size() > 3 ? arguments.outputs[3] : nullptr;
    parallelRanges(threads, count, kGrain,
                   [&](int64_t begin, int64_t end) { loop(step, in, out, copy, begin, end); });
  }

private:
  AdamWOptions options;
  void (*loop)(const AdamWStep &, const float *const *, float *const *, void *, int64_t, int64_t);
  int64_t count;
  int threads;
};

class SumSquaresKernel : public Kernel {
public:
  SumSquaresKernel(const KernelSpec &spec, const Loops &loops)
      : loop(loops.sumSquares), count(spec.inputs[0].elements()), threads(spec.threads) {}

  void run(const KernelArguments &arguments) noexcept override {
    const auto *x = static_cast<const float *>(arguments.inputs[0]);
    auto *sums = static_cast<double *>(arguments.workspace);
    const int64_t blocks = (count + kBlock - 1) / kBlock;
    parallelRanges(threads, blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block)
        sums[block] = loop(x + block * kBlock, std::min(kBlock, count - block * kBlock));
    });
    double total = 0;
    for (int64_t block = 0; block < blocks; ++block)
      total += sums[block];
    *static_cast<double *>(arguments.outputs[0]) = total;
  }

private:
  double (*loop)(const float *, int64_t);
  int64_t count;
  int threads;
};

} // namespace

Prepared deepshard::runtime::native::prepareAdamW(const KernelSpec &spec, const Loops &loops) {
  requireAdamW(spec);
  for (size_t i = 0; i < 4; ++i)
    requireFlat(spec.inputs[i], "operand", i);
  for (size_t i = 0; i < 3; ++i)
    requireFlat(spec.outputs[i], "result", i);
  require(spec.outputs.size() < 4 || spec.outputs[3].isContiguous(), "the copy is not contiguous");
  return {std::make_unique<AdamWKernel>(spec, loops), 0};
}

Prepared deepshard::runtime::native::prepareSumSquares(const KernelSpec &spec, const Loops &loops) {
  requireOperands(spec, 1, 1);
  require(spec.inputs[0].rank() == 1,
          "operand 0 is " + textOf(spec.inputs[0]) + ", expected rank 1");
  requireFlat(spec.inputs[0], "operand", 0);
  require(spec.outputs[0].dtype == DType::F64 && spec.outputs[0].elements() == 1,
          "the result is " + textOf(spec.outputs[0]) + ", expected a scalar f64");
  const auto blocks = static_cast<size_t>((spec.inputs[0].elements() + kBlock - 1) / kBlock);
  return {std::make_unique<SumSquaresKernel>(spec, loops), blocks * sizeof(double)};
}
