//===- Module.cpp - machine code on a GPU -----------------------------------------------------===//

#include "runtime/device/cuda/Module.h"

#include "runtime/device/cuda/Check.h"

#include <fmt/format.h>

namespace deepshard::runtime::cuda {

Module::Module(const char *image) {
  check(cudaLibraryLoadData(&library, image, nullptr, nullptr, 0, nullptr, nullptr, 0),
        "cudaLibraryLoadData", ExitCode::BadInput);
}

Module::~Module() { (void)cudaLibraryUnload(library); }

cudaKernel_t Module::find(const std::string &name, const Geometry &geometry) {
  cudaKernel_t kernel = nullptr;
  cudaError_t result = cudaLibraryGetKernel(&kernel, library, name.c_str());
  if (result == cudaErrorSymbolNotFound) {
    (void)cudaGetLastError();
    return nullptr;
  }
  check(result, "cudaLibraryGetKernel", ExitCode::BadInput);
  // Loads the function, which a capture might not allow later.
  const void *function = reinterpret_cast<const void *>(kernel);
  cudaFuncAttributes attributes = {};
  check(cudaFuncGetAttributes(&attributes, function), "cudaFuncGetAttributes", ExitCode::BadInput);
  uint64_t threads = uint64_t{geometry.block.x} * geometry.block.y * geometry.block.z;
  if (threads > static_cast<uint64_t>(attributes.maxThreadsPerBlock))
    throw Error(fmt::format("kernel {}: blocks of {} threads were planned, its registers allow {}",
                            name, threads, attributes.maxThreadsPerBlock));
  constexpr uint32_t kWithoutAsking = 48 << 10;
  if (geometry.sharedBytes > kWithoutAsking &&
      cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           static_cast<int>(geometry.sharedBytes)) != cudaSuccess) {
    (void)cudaGetLastError();
    throw Error(fmt::format("kernel {}: this GPU does not give {} bytes of shared memory to a "
                            "block",
                            name, geometry.sharedBytes));
  }
  return kernel;
}

void launch(cudaKernel_t kernel, const Geometry &geometry, void **arguments, cudaStream_t stream) {
  cudaLaunchConfig_t config = {};
  config.gridDim = geometry.grid;
  config.blockDim = geometry.block;
  config.dynamicSmemBytes = geometry.sharedBytes;
  config.stream = stream;
  check(cudaLaunchKernelExC(&config, reinterpret_cast<const void *>(kernel), arguments),
        "cudaLaunchKernelExC");
}

} // namespace deepshard::runtime::cuda
