//===- Check.cpp - results of the CUDA runtime ------------------------------------------------===//

#include "runtime/device/cuda/Check.h"

#include <fmt/format.h>

namespace deepshard::runtime {

void cuda::check(cudaError_t result, const char *call, ExitCode code) {
  if (result == cudaSuccess)
    return;
  // The runtime keeps the last error of a thread and would give it again.
  (void)cudaGetLastError();
  throw Error(
      fmt::format("{}: {} ({})", call, cudaGetErrorString(result), cudaGetErrorName(result)), code);
}

} // namespace deepshard::runtime
