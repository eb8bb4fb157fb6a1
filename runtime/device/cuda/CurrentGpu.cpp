//===- CurrentGpu.cpp - the current GPU, as plans describe it ---------------------------------===//

#include "runtime/device/cuda/CurrentGpu.h"

#include "runtime/device/cuda/Check.h"

namespace deepshard::runtime::cuda {

GpuDescription currentGpu() {
  int device = 0;
  check(cudaGetDevice(&device), "cudaGetDevice", ExitCode::BadInput);
  auto attribute = [&](cudaDeviceAttr name) {
    int value = 0;
    check(cudaDeviceGetAttribute(&value, name, device), "cudaDeviceGetAttribute",
          ExitCode::BadInput);
    return value;
  };
  GpuDescription gpu;
  gpu.capability = 10 * attribute(cudaDevAttrComputeCapabilityMajor) +
                   attribute(cudaDevAttrComputeCapabilityMinor);
  gpu.processors = attribute(cudaDevAttrMultiProcessorCount);
  check(cudaDriverGetVersion(&gpu.driver), "cudaDriverGetVersion", ExitCode::BadInput);
  return gpu;
}

} // namespace deepshard::runtime::cuda
