//===- Widened.h - bf16 and f16 kernels on CPUs that multiply f32 -----------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_ONEDNN_WIDENED_H
#define DEEPSHARD_RUNTIME_KERNELS_ONEDNN_WIDENED_H

#include "runtime/kernels/Kernel.h"

namespace deepshard::runtime::onednn {

/// A kernel on bf16 or f16 operands as the f32 kernel on copies of them, and the bytes of workspace
/// it uses.
struct WidenedKernel {
  std::unique_ptr<Kernel> kernel;
  size_t workspaceBytes;
};

/// Prepares matmul, linear, a convolution or one of its gradients. With `adds` a matmul or linear
/// of f32 result is added to what that holds. Throws `std::invalid_argument` with the reason if
/// there is no such f32 kernel.
WidenedKernel widened(const KernelSpec &spec, bool adds = false);

} // namespace deepshard::runtime::onednn

#endif // DEEPSHARD_RUNTIME_KERNELS_ONEDNN_WIDENED_H
