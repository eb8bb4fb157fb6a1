//===- CurrentGpu.h - the current GPU, as plans describe it -----------------------------------===//

#ifndef DEEPSHARD_RUNTIME_DEVICE_CUDA_CURRENTGPU_H
#define DEEPSHARD_RUNTIME_DEVICE_CUDA_CURRENTGPU_H

#include "runtime/kernels/cuda/GpuDescription.h"

namespace deepshard::runtime::cuda {

/// Throws Error.
GpuDescription currentGpu();

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_DEVICE_CUDA_CURRENTGPU_H
