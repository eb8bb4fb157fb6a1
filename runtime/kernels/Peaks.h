//===- Peaks.h - what the machine can do ------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_PEAKS_H
#define DEEPSHARD_RUNTIME_KERNELS_PEAKS_H

namespace deepshard::runtime {

struct MachinePeaks {
  double flopsPerSecond = 0; // of a large f32 matmul; 0 if no library has one
  double bytesPerSecond = 0; // read and written by a copy that no cache holds
};

/// Measures, best of several, with `threads` threads for some tenths of a second.
MachinePeaks measurePeaks(int threads);

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_KERNELS_PEAKS_H
