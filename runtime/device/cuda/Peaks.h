//===- Peaks.h - what a GPU can do ------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_DEVICE_CUDA_PEAKS_H
#define DEEPSHARD_RUNTIME_DEVICE_CUDA_PEAKS_H

#include "runtime/device/Device.h"

namespace deepshard::runtime::cuda {

/// Times products of cuBLASLt, without it none, and copies within the GPU's memory: as much of that
/// as is free for them. Throws Error.
MachinePeaks measurePeaks(Device &device, DType products);

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_DEVICE_CUDA_PEAKS_H
