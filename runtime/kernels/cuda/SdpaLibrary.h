//===- SdpaLibrary.h - attention by a library, as the provider calls it -----------------------===//
//
// What CudnnProvider needs of cuDNN, so that tests run plans with attention where there is no GPU.
// libds_cuda.so has cuDNN behind it (CudnnGraph.cpp).
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_SDPALIBRARY_H
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_SDPALIBRARY_H

#include "runtime/kernels/Kernel.h"

#include <cuda_runtime_api.h>

#include <memory>
#include <string>

namespace deepshard::runtime::cuda {

/// An attention or its gradient, ready to run.
class SdpaGraph {
public:
  virtual ~SdpaGraph() = default;
  virtual uint64_t workspaceBytes() const = 0;
  /// Operands in the order of ../Attention.h. Waits for nothing, so that a stream may be captured.
  /// Throws Error.
  virtual void run(const KernelArguments &arguments, cudaStream_t stream) = 0;
};

class SdpaLibrary {
public:
  virtual ~SdpaLibrary() = default;
  /// "cuDNN 9.19.1".
  virtual std::string version() const = 0;
  /// Equal specs compute equal bits. Throws `std::invalid_argument` if `spec` is not what sdpaOf
  /// takes (Sdpa.h), or the library has no kernel for it on this GPU.
  virtual std::unique_ptr<SdpaGraph> build(const KernelSpec &spec) const = 0;
};

/// Throws Error if a library is missing or does not start; `libraries`: where they are looked for
/// first.
std::unique_ptr<SdpaLibrary> openSdpaLibrary(const std::string &libraries);

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_SDPALIBRARY_H
