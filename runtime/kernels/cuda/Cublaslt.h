//===- Cublaslt.h - matrix products of cuBLASLt -----------------------------------------------===//
//
// Kernels `matmul` and `linear` as the other providers have them (../Contraction.h), also with
// `accumulate` (../Accumulate.h), and
//
//   workspace_bytes  integer: what the library may choose an algorithm for; 0: none
//
// The algorithm is the first that the library's heuristic names for the shapes, types and
// workspace, with operands aligned to 16 bytes, wherever they lie: equal products compute equal
// bits.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_CUBLASLT_H
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_CUBLASLT_H

#include "runtime/device/cuda/Stream.h"
#include "runtime/kernels/Kernel.h"

#include <memory>

namespace deepshard::runtime::cuda {

struct CublasltApi;

/// "cublaslt".
class CublasltProvider final : public KernelProvider {
public:
  /// `libraries`: where it is looked for first. Throws Error if it is missing or does not start.
  CublasltProvider(const std::string &libraries, Streams &streams);
  ~CublasltProvider() override;

  std::string_view name() const override { return "cublaslt"; }
  std::string library() const override;
  std::optional<std::string> whyNot(const KernelSpec &spec) const override;
  size_t workspaceBytes(const KernelSpec &spec) const override;
  std::unique_ptr<Kernel> prepare(const KernelSpec &spec) const override;

private:
  std::unique_ptr<CublasltApi> api;
  Streams &streams;
};

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_CUBLASLT_H
