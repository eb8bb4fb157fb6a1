//===- Entry.cpp - the one function of libds_cuda.so ------------------------------------------===//

#include "runtime/device/Cuda.h"
#include "runtime/device/cuda/Device.h"

#include <string_view>

using namespace deepshard::runtime;

extern "C" __attribute__((visibility("default"))) Device *
deepshardCudaDevice(const char *build, const CudaOptions *options) {
  if (std::string_view(build) != kCudaBuild)
    return nullptr;
  return new cuda::CudaDevice(*options);
}
