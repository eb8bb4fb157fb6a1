//===- Cudnn.h - attention of cuDNN -----------------------------------------------------------===//
//
// Kernels `attention` and `attention_grad` as the other providers have them (../Attention.h), as
// far as sdpaOf says (Sdpa.h), and
//
//   workspace_bytes  integer: the bytes of workspace that the plan gives
//
// The graph is built for the GPU when the plan is loaded, with the first kernel that the library's
// heuristic names; that of the gradient is deterministic.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_CUDNN_H
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_CUDNN_H

#include "runtime/device/cuda/Stream.h"
#include "runtime/kernels/Kernel.h"
#include "runtime/kernels/cuda/SdpaLibrary.h"

#include <memory>

namespace deepshard::runtime::cuda {

/// "cudnn".
class CudnnProvider final : public KernelProvider {
public:
  CudnnProvider(std::unique_ptr<SdpaLibrary> sdpa, Streams &streams)
      : sdpa(std::move(sdpa)), streams(streams) {}

  std::string_view name() const override { return "cudnn"; }
  std::string library() const override { return sdpa->version(); }
  /// Whether this GPU has a kernel for it is known when it is prepared.
  std::optional<std::string> whyNot(const KernelSpec &spec) const override;
  size_t workspaceBytes(const KernelSpec &spec) const override;
  /// Throws Error if the graph needs more workspace than the plan gives it.
  std::unique_ptr<Kernel> prepare(const KernelSpec &spec) const override;

private:
  std::unique_ptr<SdpaLibrary> sdpa;
  Streams &streams;
};

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_CUDNN_H
