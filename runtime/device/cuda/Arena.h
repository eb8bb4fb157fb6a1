//===- Arena.h - memory of a GPU, and of the host for it --------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_DEVICE_CUDA_ARENA_H
#define DEEPSHARD_RUNTIME_DEVICE_CUDA_ARENA_H

#include "runtime/device/Device.h"

namespace deepshard::runtime::cuda {

/// Memory of the GPU, not cleared.
class DeviceArena final : public Arena {
public:
  /// Throws Error with what is free if the GPU does not have it.
  explicit DeviceArena(uint64_t bytes);
  ~DeviceArena() override;
};

/// Memory of the host that the GPU reads and writes by itself.
class PinnedArena final : public Arena {
public:
  explicit PinnedArena(uint64_t bytes);
  ~PinnedArena() override;
};

/// Zeros, before any stream has work.
void clear(char *memory, uint64_t bytes);

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_DEVICE_CUDA_ARENA_H
