//===- AdamW.h - what the kernels called adamw share ------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_ADAMW_H
#define DEEPSHARD_RUNTIME_KERNELS_ADAMW_H

#include "runtime/kernels/AdamWStep.h"
#include "runtime/kernels/Kernel.h"

#include <span>

namespace deepshard::runtime {

/// From the operands of the kernel.
inline AdamWStep adamWStepOf(const AdamWOptions &options, std::span<void *const> inputs) {
  return AdamWStep::of(
      options, {static_cast<const double *>(inputs[4]), static_cast<const int64_t *>(inputs[5]),
                inputs.size() > 6 ? static_cast<const double *>(inputs[6]) : nullptr,
                inputs.size() > 7 ? static_cast<const uint8_t *>(inputs[7]) : nullptr});
}

/// Requires the operands of `adamw`: parameter, gradient, exp_avg, exp_avg_sq of one shape and
/// type, learning rate f64, step i64, optionally clip f64 and then applies i1 -> parameter,
/// exp_avg, exp_avg_sq, and optionally the parameter rounded to bf16 or f16.
void requireAdamW(const KernelSpec &spec);

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_KERNELS_ADAMW_H
