//===- CudnnLibrary.h - cuDNN and what it opens itself ----------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_CUDNNLIBRARY_H
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_CUDNNLIBRARY_H

#include "runtime/device/cuda/Library.h"

#include <string>

struct cudnnContext;

namespace deepshard::runtime::cuda {

/// cuDNN 9, with the libraries that it finds by name only if they are open: NVRTC, which compiles
/// its kernels, NVRTC's builtins and cuBLASLt.
class CudnnLibrary {
public:
  /// `libraries`: where they are looked for first. Throws Error if one is missing or too old.
  explicit CudnnLibrary(const std::string &libraries);

  const Library &library() const { return cudnn; }
  std::string version() const; ///< "cuDNN 9.19.1"

private:
  Library cudnn, nvrtc, builtins, cublaslt;
  size_t number; // 91901
};

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_CUDNNLIBRARY_H
