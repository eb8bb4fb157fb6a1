//===- CudaProvider.h - kernels that libds_cuda.so brings itself ------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_CUDAPROVIDER_H
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_CUDAPROVIDER_H

#include "runtime/device/cuda/BuiltIn.h"
#include "runtime/device/cuda/Module.h"
#include "runtime/device/cuda/Stream.h"
#include "runtime/kernels/Kernel.h"

#include <memory>

namespace deepshard::runtime::cuda {

/// "cuda": see Primitives.h.
class CudaProvider final : public KernelProvider {
public:
  /// Throws Error if the GPU does not take the code.
  CudaProvider(BuiltIn &builtIn, Streams &streams);

  std::string_view name() const override { return "cuda"; }
  std::optional<std::string> whyNot(const KernelSpec &spec) const override;
  size_t workspaceBytes(const KernelSpec &spec) const override;
  std::unique_ptr<Kernel> prepare(const KernelSpec &spec) const override;

private:
  std::unique_ptr<Module> module;
  BuiltIn &builtIn;
  Streams &streams;
};

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_CUDAPROVIDER_H
