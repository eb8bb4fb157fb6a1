//===- AdamW.h - what the kernels called adamw share ------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_ADAMW_H
#define DEEPSHARD_RUNTIME_KERNELS_ADAMW_H

#include "runtime/kernels/Kernel.h"

#include <cmath>

namespace deepshard::runtime {

/// Attributes of `adamw`.
struct AdamWOptions {
  double beta1, beta2, eps, weightDecay;
  bool biasCorrection; // absent: off
  bool decoupled;      // adam_w_mode; off: weight decay is added to the gradient (Adam with L2)

  static AdamWOptions of(const Attributes &attributes) {
    return {attributes.number("beta1"),         attributes.number("beta2"),
            attributes.number("eps"),           attributes.number("weight_decay"),
            attributes.flag("bias_correction"), attributes.flag("adam_w_mode")};
  }
};

/// The factors of one step, the same for all elements, computed in f64:
///   g' = clip g + l2 p;  m' = beta1 m + (1 - beta1) g';  v' = beta2 v + (1 - beta2) g'^2
///   p' = keep p - stepSize m' / (sqrt(v') rootScale + eps)
/// (Loshchilov and Hutter, arXiv 1711.05101, as in torch.optim.AdamW.)
struct AdamWStep {
  double clip, l2, beta1, oneMinusBeta1, beta2, oneMinusBeta2, keep, stepSize, rootScale, eps;
  bool applies; // off: the step is skipped, p' = p, m' = m, v' = v

  /// `step` counts from 1.
  AdamWStep(const AdamWOptions &options, double learningRate, int64_t step, double clip,
            bool applies)
      : clip(clip), l2(options.decoupled ? 0 : options.weightDecay), beta1(options.beta1),
        oneMinusBeta1(1 - options.beta1), beta2(options.beta2), oneMinusBeta2(1 - options.beta2),
        keep(options.decoupled ? 1 - learningRate * options.weightDecay : 1), eps(options.eps),
        applies(applies) {
    const auto t = static_cast<double>(step);
    stepSize =
        options.biasCorrection ? learningRate / (1 - std::pow(options.beta1, t)) : learningRate;
    rootScale = options.biasCorrection ? 1 / std::sqrt(1 - std::pow(options.beta2, t)) : 1;
  }

  /// From the scalar operands of the kernel: learning rate f64, step i64 and, if there, the clip
  /// coefficient f64 and whether the step applies, i1.
  static AdamWStep of(const AdamWOptions &options, std::span<void *const> inputs) {
    return {options, *static_cast<const double *>(inputs[4]),
            *static_cast<const int64_t *>(inputs[5]),
            inputs.size() > 6 ? *static_cast<const double *>(inputs[6]) : 1.0,
            inputs.size() <= 7 || *static_cast<const uint8_t *>(inputs[7]) != 0};
  }
};

/// Requires the operands of `adamw`: parameter, gradient, exp_avg, exp_avg_sq of one shape and
/// type, learning rate f64, step i64, optionally clip f64 and then applies i1 -> parameter,
/// exp_avg, exp_avg_sq, and optionally the parameter rounded to bf16 or f16.
void requireAdamW(const KernelSpec &spec);

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_KERNELS_ADAMW_H
