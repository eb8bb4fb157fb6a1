//===- CudnnProperties.h - a described GPU, as cuDNN reads it ---------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_CUDNNPROPERTIES_H
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_CUDNNPROPERTIES_H

#include "runtime/kernels/cuda/GpuDescription.h"

#include <string>

namespace deepshard::runtime::cuda {

/// The JSON of a device property descriptor. What cuDNN compares with the real device is right;
/// clocks, sizes of memories and the name are not.
std::string cudnnProperties(const GpuDescription &gpu);

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_CUDNNPROPERTIES_H
