//===- CudaKernel.h - a kernel that joins the current stream of a GPU -------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_CUDAKERNEL_H
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_CUDAKERNEL_H

#include "runtime/device/cuda/Stream.h"
#include "runtime/kernels/Kernel.h"

namespace deepshard::runtime::cuda {

/// Throws Error unless a library's workspace lies as it has to.
void requireLibraryWorkspace(const void *workspace);

/// A GPU may refuse work, but `run` may not throw: the device does (Device::throwIfFailed).
class CudaKernel : public Kernel {
public:
  explicit CudaKernel(Streams &streams) : streams(streams) {}

  void run(const KernelArguments &arguments) noexcept final {
    try {
      start(arguments, streams.current());
    } catch (...) {
      streams.keep(std::current_exception());
    }
  }

private:
  /// Throws Error.
  virtual void start(const KernelArguments &arguments, cudaStream_t stream) = 0;

  Streams &streams;
};

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_CUDAKERNEL_H
