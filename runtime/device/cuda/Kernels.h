//===- Kernels.h - the device code of the library itself --------------------------------------===//
//
// Included by nvcc and by g++: plain types only.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_DEVICE_CUDA_KERNELS_H
#define DEEPSHARD_RUNTIME_DEVICE_CUDA_KERNELS_H

#include <stdint.h>

namespace deepshard::runtime::cuda {

constexpr int kMostDims = 8;
constexpr int kMostMembers = 16; // a reduction's tree is unrolled

/// Kernel `ds_copy_W`: elements of W bytes (1, 2, 4, 8, 16); strides in elements.
struct StridedWindow {
  const void *from;
  void *to;
  int64_t elements;
  int32_t rank;
  int64_t shape[kMostDims];
  int64_t fromStrides[kMostDims];
  int64_t toStrides[kMostDims];
};

/// Kernel `ds_mark`, of one thread.
struct Mark {
  uint64_t *place; // in memory of the host
  uint64_t number;
};

/// Kernel `ds_reduce_TYPE_OPERATION`: outputs[..][i] = the reduction of inputs[..][i], in the order
/// of Communicator.h, for i < elements of `rows` rows (grid dimension y).
struct ReducedRows {
  const void *inputs[kMostMembers];
  void *outputs[kMostMembers];
  int32_t inputCount;
  int32_t outputCount;
  int64_t elements;
  int64_t inputStride; // in elements from one row to the next
  int64_t outputStride;
};

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_DEVICE_CUDA_KERNELS_H
