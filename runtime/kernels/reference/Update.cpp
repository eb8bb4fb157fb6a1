//===- Update.cpp - the optimizer's step, the gradient's norm, the loss scale -----------------===//

#include "runtime/kernels/AdamW.h"
#include "runtime/kernels/LossScale.h"
#include "runtime/kernels/Parallel.h"
#include "runtime/kernels/reference/LoopNest.h"
#include "runtime/kernels/reference/Reference.h"
#include "runtime/kernels/reference/Types.h"

#include <fmt/format.h>

using namespace deepshard::runtime;
using namespace deepshard::runtime::reference;

LossScaleRule LossScaleRule::of(const Attributes &attributes) {
  return {attributes.integer("window"), static_cast<double>(attributes.integer("hysteresis")),
          attributes.flag("consecutive_hysteresis"), attributes.number("minimum")};
}

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
    const AdamWStep step = adamWStepOf(options, arguments.inputs);
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
          copy(*at[4], arguments.outputs[3], offsetOf(*copyDesc, i));
      }
    });
  }

private:
  void copy(T value, void *to, int64_t offset) const {
    if (copyDesc->dtype == DType::F16)
      static_cast<Float16 *>(to)[offset] = Float16::from(value);
    else
      static_cast<BFloat16 *>(to)[offset] = BFloat16::from(value);
  }

  static void update(const AdamWStep &step, T *const *at) {
    if (!step.applies) {
      *at[4] = *at[0];
      *at[5] = *at[2];
      *at[6] = *at[3];
      return;
    }
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

class UpdateLossScaleKernel : public Kernel {
public:
  explicit UpdateLossScaleKernel(const KernelSpec &spec)
      : rule(LossScaleRule::of(spec.attributes)) {}

  void run(const KernelArguments &arguments) noexcept override {
    rule.update(static_cast<const double *>(arguments.inputs[0]),
                *static_cast<const uint8_t *>(arguments.inputs[1]) != 0,
                static_cast<double *>(arguments.outputs[0]));
  }

private:
  LossScaleRule rule;
};

std::unique_ptr<Kernel> prepareUpdateLossScale(const KernelSpec &spec) {
  requireOperands(spec, 2, 1);
  const TensorDesc state = TensorDesc::contiguous(DType::F64, {4});
  require(spec.inputs[0] == state && spec.outputs[0] == state,
          fmt::format("the state is {} and becomes {}, expected a contiguous {}",
                      textOf(spec.inputs[0]), textOf(spec.outputs[0]), textOf(state)));
  require(spec.inputs[1].dtype == DType::I1 && spec.inputs[1].elements() == 1,
          "operand 1 is " + textOf(spec.inputs[1]) + ", expected a scalar i1");
  return std::make_unique<UpdateLossScaleKernel>(spec);
}

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
  table["update_loss_scale"] = {prepareUpdateLossScale};
  table["sum_squares"] = {prepareSumSquares, sumSquaresWorkspace};
}
