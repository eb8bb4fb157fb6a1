//===- Arena.h - memory of the host -----------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_DEVICE_CPU_ARENA_H
#define DEEPSHARD_RUNTIME_DEVICE_CPU_ARENA_H

#include "runtime/device/Device.h"

#include <cstddef>
#include <cstdint>

namespace deepshard::runtime {

/// Memory of the host, aligned to 2 MiB, with huge pages asked for. It reads as zero and takes no
/// physical memory until it is touched.
class HostArena final : public Arena {
public:
  static constexpr size_t kAlignment = size_t{2} << 20;

  /// Throws Error if the machine does not have `bytes`.
  explicit HostArena(uint64_t bytes);
  ~HostArena() override;

private:
  void *mapping = nullptr;
  size_t mappedBytes = 0;
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_DEVICE_CPU_ARENA_H
