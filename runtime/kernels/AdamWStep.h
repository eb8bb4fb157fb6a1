//===- AdamWStep.h - the formulas of the kernels called adamw ---------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_ADAMWSTEP_H
#define DEEPSHARD_RUNTIME_KERNELS_ADAMWSTEP_H

#include "runtime/kernels/HostDevice.h"

#include <cmath>
#include <cstdint>

namespace deepshard::runtime {

class Attributes;

/// Attributes of `adamw`.
struct AdamWOptions {
  double beta1, beta2, eps, weightDecay;
  bool biasCorrection; // absent: off
  bool decoupled;      // adam_w_mode; off: weight decay is added to the gradient (Adam with L2)

  static AdamWOptions of(const Attributes &attributes);
};

/// Scalar operands of `adamw`, where they lie.
struct AdamWScalars {
  const double *learningRate;
  const int64_t *step;    // counts from 1
  const double *clip;     // null: 1
  const uint8_t *applies; // null: it does
};

/// The factors of one step, the same for all elements, computed in f64:
///   g' = clip g + l2 p;  m' = beta1 m + (1 - beta1) g';  v' = beta2 v + (1 - beta2) g'^2
///   p' = keep p - stepSize m' / (sqrt(v') rootScale + eps)
/// (Loshchilov and Hutter, arXiv 1711.05101, as in torch.optim.AdamW.)
struct AdamWStep {
  double clip, l2, beta1, oneMinusBeta1, beta2, oneMinusBeta2, keep, stepSize, rootScale, eps;
  bool applies; // off: the step is skipped, p' = p, m' = m, v' = v

  static DS_HOST_DEVICE AdamWStep of(const AdamWOptions &options, const AdamWScalars &scalars) {
    const double learningRate = *scalars.learningRate;
    const auto t = static_cast<double>(*scalars.step);
    AdamWStep step;
    step.clip = scalars.clip ? *scalars.clip : 1.0;
    step.l2 = options.decoupled ? 0 : options.weightDecay;
    step.beta1 = options.beta1;
    step.oneMinusBeta1 = 1 - options.beta1;
    step.beta2 = options.beta2;
    step.oneMinusBeta2 = 1 - options.beta2;
    step.keep = options.decoupled ? 1 - learningRate * options.weightDecay : 1;
    step.stepSize =
        options.biasCorrection ? learningRate / (1 - std::pow(options.beta1, t)) : learningRate;
    step.rootScale = options.biasCorrection ? 1 / std::sqrt(1 - std::pow(options.beta2, t)) : 1;
    step.eps = options.eps;
    step.applies = !scalars.applies || *scalars.applies != 0;
    return step;
  }
};

namespace { // files compiled for different levels include it

/// The factors rounded to T, in which a kernel computes.
template <typename T> struct AdamWFactors {
  T clip, l2, beta1, oneMinusBeta1, beta2, oneMinusBeta2, keep, stepSize, rootScale, eps;

  explicit DS_HOST_DEVICE AdamWFactors(const AdamWStep &step)
      : clip(static_cast<T>(step.clip)), l2(static_cast<T>(step.l2)),
        beta1(static_cast<T>(step.beta1)), oneMinusBeta1(static_cast<T>(step.oneMinusBeta1)),
        beta2(static_cast<T>(step.beta2)), oneMinusBeta2(static_cast<T>(step.oneMinusBeta2)),
        keep(static_cast<T>(step.keep)), stepSize(static_cast<T>(step.stepSize)),
        rootScale(static_cast<T>(step.rootScale)), eps(static_cast<T>(step.eps)) {}

  /// One element; p, m and v become p', m' and v'.
  DS_HOST_DEVICE void update(T &p, T g, T &m, T &v) const {
    const T gradient = clip * g + l2 * p;
    m = beta1 * m + oneMinusBeta1 * gradient;
    v = beta2 * v + oneMinusBeta2 * (gradient * gradient);
    p = keep * p - stepSize * m / (root(v) * rootScale + eps);
  }

private:
  static DS_HOST_DEVICE float root(float x) { return __builtin_sqrtf(x); }
  static DS_HOST_DEVICE double root(double x) { return __builtin_sqrt(x); }
};

} // namespace

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_KERNELS_ADAMWSTEP_H
