//===- DeviceMemory.h - memory of an emulated device ------------------------------------------===//

#ifndef DEEPSHARD_TEST_UNIT_GPU_DEVICEMEMORY_H
#define DEEPSHARD_TEST_UNIT_GPU_DEVICEMEMORY_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace deepshard {

/// Allocations between pages that nobody may touch: each ends, up to its alignment, where a page
/// does.
class DeviceMemory {
public:
  /// What kernels may take for granted of the address of an operand.
  static constexpr size_t kAlignment = 16;

  DeviceMemory() = default;
  DeviceMemory(const DeviceMemory &) = delete;
  DeviceMemory &operator=(const DeviceMemory &) = delete;
  ~DeviceMemory();

  /// `shift` moves the address away from the alignment.
  char *allocate(size_t bytes, size_t shift = 0);
  /// Whether the bytes lie within one allocation.
  bool contains(uint64_t address, size_t bytes) const;
  /// The position of the bytes of an allocation among those of all; only of bytes that are
  /// contained.
  size_t positionOf(uint64_t address) const;
  size_t size() const { return total; }

private:
  struct Allocation {
    char *data;
    size_t bytes;
    char *pages;
    size_t pageBytes;
    size_t position;
  };
  const Allocation *find(uint64_t address) const;

  std::vector<Allocation> allocations;
  size_t total = 0;
};

} // namespace deepshard

#endif // DEEPSHARD_TEST_UNIT_GPU_DEVICEMEMORY_H
