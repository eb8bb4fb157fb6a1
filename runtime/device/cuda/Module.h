//===- Module.h - machine code on a GPU -------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_DEVICE_CUDA_MODULE_H
#define DEEPSHARD_RUNTIME_DEVICE_CUDA_MODULE_H

#include <cuda_runtime_api.h>

#include <cstdint>
#include <string>

namespace deepshard::runtime::cuda {

/// How a kernel is laid out over the GPU.
struct Geometry {
  dim3 grid, block;
  uint32_t sharedBytes = 0; ///< dynamic
};

/// A cubin, a fat binary, or PTX that the driver compiles, on the current GPU.
class Module {
public:
  /// `image` must outlive this. Throws Error if the driver does not take it.
  explicit Module(const char *image);
  ~Module();
  Module(const Module &) = delete;
  Module &operator=(const Module &) = delete;

  /// A function, loaded, with room for so much shared memory; null if there is none such. Throws
  /// Error if it cannot run with this geometry.
  cudaKernel_t find(const std::string &name, const Geometry &geometry);

private:
  cudaLibrary_t library = nullptr;
};

/// Starts a kernel; `arguments` are the addresses of its parameters. Throws Error.
void launch(cudaKernel_t kernel, const Geometry &geometry, void **arguments, cudaStream_t stream);

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_DEVICE_CUDA_MODULE_H
