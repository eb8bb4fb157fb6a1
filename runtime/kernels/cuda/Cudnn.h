//===- Cudnn.h - attention and convolutions of cuDNN ------------------------------------------===//
//
// Kernels `attention` and `attention_grad` as the other providers have them (../Attention.h), as
// far as sdpaOf says (Sdpa.h), `convolution`, `convolution_input_grad` and
// `convolution_weight_grad` (../Convolution.h), as far as convOf says (Conv.h), and
//
//   workspace_bytes  integer: the bytes of workspace that the plan gives
//
// The graph is built for the GPU when the plan is loaded, with the first kernel that the library's
// heuristic names; for a convolution, the first that the workspace is enough for. All kernels are
// deterministic. Those of f32 compute in f32: not in TF32, nor by transforms of the window.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_CUDNN_H
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_CUDNN_H

#include "runtime/device/cuda/Stream.h"
#include "runtime/kernels/Kernel.h"
#include "runtime/kernels/cuda/GraphLibrary.h"

#include <memory>

namespace deepshard::runtime::cuda {

/// "cudnn".
class CudnnProvider final : public KernelProvider {
public:
  /// `own`: provider "cuda", which converts operands.
  CudnnProvider(std::unique_ptr<GraphLibrary> library, const KernelProvider &own, Streams &streams)
      : graphs(std::move(library)), own(own), streams(streams) {}

  std::string_view name() const override { return "cudnn"; }
  std::string library() const override { return graphs->version(); }
  /// Whether this GPU has a kernel for it is known when it is prepared.
  std::optional<std::string> whyNot(const KernelSpec &spec) const override;
  size_t workspaceBytes(const KernelSpec &spec) const override;
  /// Throws Error if the graph needs more workspace than the plan gives it.
  std::unique_ptr<Kernel> prepare(const KernelSpec &spec) const override;

private:
  std::unique_ptr<Kernel> prepareGraph(const KernelSpec &call) const;

  std::unique_ptr<GraphLibrary> graphs;
  const KernelProvider &own;
  Streams &streams;
};

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_CUDNN_H
