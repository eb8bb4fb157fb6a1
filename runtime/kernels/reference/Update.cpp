//===- Update.cpp - the optimizer's step and the gradient's norm ------------------------------===//

#include "runtime/kernels/AdamW.h"
#include "runtime/kernels/Parallel.h"
#include "runtime/kernels/reference/LoopNest.h"
#include "runtime/kernels/reference/Reference.h"
#include "runtime/kernels/reference/Types.h"

#include <fmt/format.h>

using namespace deepshard::runtime;
using namespace deepshard::runtime::reference;

namespace {

constexpr int64_t kBlock = 65536; // elements summed at a time by sum_squares

/// Every element is computed in f64 and rounded once per result. Results may be written over the
/// operands of the same description (p', m', v' over p, m, v).
template <typename T> class AdamWKernel : public Kernel {
public:
  explicit AdamWKernel(const KernelSpec &spec)
      : options(AdamWOptions::of(spec.attributes)),
        descs{spec.inputs[0],  spec.inputs[1],  spec.inputs[2], spec.inputs[3],
              spec.outputs[0], spec.outputs[1], spec.outputs[2]},
        threads(spec.threads) {
    if (spec.outputs.size() > 3)
      copyDesc = spec.outputs[3];
  }

  void run(const KernelArguments &arguments) noexcept override {
    const AdamWStep step = AdamWStep::of(options, arguments.inputs);
    T *base[7];
    for (int i = 0; i < 7; ++i)
      base[i] = static_cast<T *>(i < 4 ? arguments.inputs[i] : arguments.outputs[i - 4]);
    parallelRanges(threads, descs[0].elements(), 4096, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        T *at[7];
        for (int k = 0; k < 7; ++k)
          at[k] = base[k] + offsetOf(descs[k], i);
        update(step, at);
        if (copyDesc)
          static_cast<BFloat16 *>(arguments.outputs[3])[offsetOf(*copyDesc, i)] =
              BFloat16::from(*at[4]);
      }
    });
  }

private:
  static void update(const AdamWStep &step, T *const *at) {
    const double p = *at[0];
    const double g = step.clip * *at[1] + step.l2 * p;
    const double m = step.beta1 * *at[2] + step.oneMinusBeta1 * g;
    const double v = step.beta2 * *at[3] + step.oneMinusBeta2 * g * g;
    *at[4] = static_cast<T>(step.keep * p -
                            step.stepSize * m / (std::sqrt(v) * step.rootScale + step.eps));
    *at[5] = static_cast<T>(m);
    *at[6] = static_cast<T>(v);
  }

  AdamWOptions options;
  TensorDesc descs[7]; // p, g, m, v, p', m', v'
  std::optional<TensorDesc> copyDesc;
  int threads;
};

std::unique_ptr<Kernel> prepareAdamW(const KernelSpec &spec) {
  requireAdamW(spec);
  return dispatchFloat(spec.inputs[0].dtype, "operand 0", [&](auto tag) -> std::unique_ptr<Kernel> {
    return std::make_unique<AdamWKernel<typename decltype(tag)::Type>>(spec);
  });
}

/// The sum of squares of a flat tensor as an f64: blocks of 65,536 elements, each summed in f64 in
/// index order, then the blocks in order.
template <typename T> class SumSquaresKernel : public Kernel {
public:
  explicit SumSquaresKernel(const KernelSpec &spec)
      : count(spec.inputs[0].elements()), stride(spec.inputs[0].strides[0]), threads(spec.threads) {
  }

  void run(const KernelArguments &arguments) noexcept override {
    const auto *x = static_cast<const T *>(arguments.inputs[0]);
    auto *sums = static_cast<double *>(arguments.workspace);
    const int64_t blocks = (count + kBlock - 1) / kBlock;
    parallelRanges(threads, blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) {
        double sum = 0;
        for (int64_t i = block * kBlock; i < std::min((block + 1) * kBlock, count); ++i)
          sum += static_cast<double>(x[i * stride]) * static_cast<double>(x[i * stride]);
        sums[block] = sum;
      }
    });
    double total = 0;
    for (int64_t block = 0; block < blocks; ++block)
      total += sums[block];
    *static_cast<double *>(arguments.outputs[0]) = total;
  }

private:
  int64_t count, stride;
  int threads;
};

size_t sumSquaresWorkspace(const KernelSpec &spec) {
  return static_cast<size_t>((spec.inputs[0].elements() + kBlock - 1) / kBlock) * sizeof(double);
}

std::unique_ptr<Kernel> prepareSumSquares(const KernelSpec &spec) {
  requireOperands(spec, 1, 1);
  require(spec.inputs[0].rank() == 1,
          "operand 0 is " + textOf(spec.inputs[0]) + ", expected rank 1");
  require(spec.outputs[0].dtype == DType::F64 && spec.outputs[0].elements() == 1,
          "the result is " + textOf(spec.outputs[0]) + ", expected a scalar f64");
  return dispatchFloat(spec.inputs[0].dtype, "operand 0", [&](auto tag) -> std::unique_ptr<Kernel> {
    return std::make_unique<SumSquaresKernel<typename decltype(tag)::Type>>(spec);
  });
}

} // namespace

void deepshard::runtime::reference::addUpdate(KernelTable &table) {
  table["adamw"] = {prepareAdamW};
  table["sum_squares"] = {prepareSumSquares, sumSquaresWorkspace};
}
