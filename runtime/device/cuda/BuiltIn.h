//===- BuiltIn.h - copies and reductions that the library brings itself -----------------------===//

#ifndef DEEPSHARD_RUNTIME_DEVICE_CUDA_BUILTIN_H
#define DEEPSHARD_RUNTIME_DEVICE_CUDA_BUILTIN_H

#include "runtime/comm/Communicator.h"
#include "runtime/device/Device.h"
#include "runtime/device/cuda/Kernels.h"
#include "runtime/device/cuda/Module.h"

namespace deepshard::runtime::cuda {

/// Copies and reductions that the library brings itself.
class BuiltIn {
public:
  BuiltIn();

  /// Throw Error; the latter for types that are not reduced.
  void copy(const StridedCopy &copy, cudaStream_t stream);
  void reduce(const ReducedRows &what, int64_t rows, DType type, Reduction reduction,
              cudaStream_t stream);

  /// Writes `number` to `place`, which is pinned memory of the host.
  void mark(uint64_t *place, uint64_t number, cudaStream_t stream);

private:
  Module module;
};

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_DEVICE_CUDA_BUILTIN_H
