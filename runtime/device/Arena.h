//===- Arena.h - one block of memory, allocated once ------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_DEVICE_ARENA_H
#define DEEPSHARD_RUNTIME_DEVICE_ARENA_H

#include <cstddef>
#include <cstdint>

namespace deepshard::runtime {

/// Memory of the host, aligned to 2 MiB, with huge pages asked for. It reads as zero and takes no
/// physical memory until it is touched.
class Arena {
public:
  static constexpr size_t kAlignment = size_t{2} << 20;

  /// Throws Error if the machine does not have `bytes`.
  explicit Arena(uint64_t bytes);
  ~Arena();
  Arena(Arena &&other) noexcept;
  Arena(const Arena &) = delete;
  Arena &operator=(const Arena &) = delete;
  Arena &operator=(Arena &&) = delete;

  char *data() const { return base; }
  uint64_t size() const { return bytes; }

private:
  char *base = nullptr;
  uint64_t bytes = 0;
  void *mapping = nullptr;
  size_t mappedBytes = 0;
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_DEVICE_ARENA_H
