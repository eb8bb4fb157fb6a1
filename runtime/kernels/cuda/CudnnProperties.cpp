//===- CudnnProperties.cpp - a described GPU, as cuDNN reads it -------------------------------===//

#include "runtime/kernels/cuda/CudnnProperties.h"

#include <fmt/format.h>

namespace deepshard::runtime::cuda {

std::string cudnnProperties(const GpuDescription &gpu) {
  // Of a block that asks for it: 163 KiB on sm_80, 227 KiB on sm_90 and sm_100.
  const int sharedBytes = (gpu.capability < 90 ? 163 : 227) << 10;
  return fmt::format(
      R"({{"cudaDeviceId":0,"deviceVer":{},"driverVer":{},"totalGlobalMem":85899345920,)"
      R"("maxGridSize":[2147483647,65535,65535],"maxBlockSize":[1024,1024,64],)"
      R"("regsPerBlock":65536,"multiProcessorCount":{},"warpSize":32,)"
      R"("maxSharedMemoryPerBlock":49152,"maxSharedMemoryPerBlockOptin":{},)"
      R"("reservedSharedMemoryPerBlock":1024,"maxRegistersPerSM":65536,"maxCtasPerSM":32,)"
      R"("maxThreadsPerBlock":1024,"maxThreadsPerSM":2048,"pciDeviceId":0,"isTccDriver":0,)"
      R"("supportCoopLaunch":1,"smClockRateKHz":1500000,"memClockRateKHz":2000000,)"
      R"("l2CacheSize":41943040,"deviceName":"GPU"}})",
      gpu.capability * 10, gpu.driver, gpu.processors, sharedBytes);
}

} // namespace deepshard::runtime::cuda
