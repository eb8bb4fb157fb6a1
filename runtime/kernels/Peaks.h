//===- Peaks.h - what the machine can do ------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_PEAKS_H
#define DEEPSHARD_RUNTIME_KERNELS_PEAKS_H

#include "runtime/kernels/Kernel.h"

namespace deepshard::runtime {

struct MachinePeaks {
  double flopsPerSecond = 0; // of a large matmul; 0 if no library has one
  DType matmulType = DType::F32;
  double bytesPerSecond = 0; // read and written by a copy that no cache holds
};

/// A matmul of square matrices of `size` rows.
KernelSpec squareMatmul(DType type, int64_t size);

/// Measures the CPU, best of several, with `threads` threads for some tenths of a second. Matmuls
/// are those of `products` or of f32, whichever are faster: without instructions for bf16 and f16
/// these are multiplied in f32.
MachinePeaks measurePeaks(DType products, int threads);

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_KERNELS_PEAKS_H
