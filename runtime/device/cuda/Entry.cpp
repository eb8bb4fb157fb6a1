//===- Entry.cpp - the two functions of libds_cuda.so -----------------------------------------===//

#include "runtime/device/Cuda.h"
#include "runtime/device/cuda/Device.h"

#include <string_view>

using namespace deepshard::runtime;

extern "C" {

__attribute__((visibility("default"))) Device *deepshardCudaDevice(const char *build,
                                                                   const CudaOptions *options) {
  if (std::string_view(build) != kCudaBuild)
    return nullptr;
  return new cuda::CudaDevice(*options);
}

__attribute__((visibility("default"))) GraphCompiler *
deepshardGraphCompiler(const char *build, const GraphCompilerOptions *options) {
  if (std::string_view(build) != kCudaBuild)
    return nullptr;
  return cuda::makeGraphCompiler(*options).release();
}

} // extern "C"
