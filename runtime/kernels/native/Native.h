//===- Native.h - the kernels of the native provider ------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_NATIVE_NATIVE_H
#define DEEPSHARD_RUNTIME_KERNELS_NATIVE_NATIVE_H

#include "runtime/kernels/Kernel.h"
#include "runtime/kernels/native/Loops.h"

namespace deepshard::runtime::native {

/// A kernel and the bytes of workspace it uses. Factories throw `std::invalid_argument` with the
/// reason.
struct Prepared {
  std::unique_ptr<Kernel> kernel;
  size_t workspaceBytes;
};

/// `attention` and `attention_grad`, see ../Attention.h.
Prepared prepareAttention(const KernelSpec &spec, const Loops &loops);

/// logits, target -> loss_sum, count, lse; contiguous bf16 or f16 logits (of f32 ones nothing is
/// kept by not converting them), f32 results, targets i64 or i32. Attribute: ignore_index.
Prepared prepareCrossEntropy(const KernelSpec &spec, const Loops &loops);
/// logits, target, lse, dloss_sum -> dlogits, which may lie where the logits do; contiguous, logits
/// f32, bf16 or f16, targets i64 or i32. Attribute: ignore_index. `lse` is that of the logits:
/// e^(logits - lse) must not overflow.
Prepared prepareCrossEntropyGrad(const KernelSpec &spec, const Loops &loops);
/// logits, target, dloss_sum -> dlogits, which may lie where the logits do, loss_sum; types as
/// above.
Prepared prepareCrossEntropyWithGrad(const KernelSpec &spec, const Loops &loops);

/// As the reference kernels, for contiguous f32 (and the bf16 or f16 copy of adamw): adamw rounds
/// after every operation, sum_squares adds a block in 16 lanes.
Prepared prepareAdamW(const KernelSpec &spec, const Loops &loops);
Prepared prepareSumSquares(const KernelSpec &spec, const Loops &loops);

/// The loops for elements of f32, bf16 or f16.
inline const ElementLoops &loopsFor(DType dtype, const Loops &loops) {
  return dtype == DType::BF16 ? loops.bf16 : dtype == DType::F16 ? loops.f16 : loops.f32;
}

} // namespace deepshard::runtime::native

#endif // DEEPSHARD_RUNTIME_KERNELS_NATIVE_NATIVE_H
