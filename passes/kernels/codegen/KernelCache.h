//===- KernelCache.h - objects of kernels from earlier runs -----------------------------------===//
//
// A directory with a file per kernel. An entry is found by a hash of all that its object depends
// on, written under another name and renamed, and checked when it is read; so processes may share
// the directory, and a damaged entry is as good as none. Nothing that goes wrong here is an error:
// what is not found is compiled.
//
// An entry, integers in little endian:
//
//   | 0: magic (8) | 8: key (16) | 24: length of the object (8) | 32: XXH3-64 of all else (8) |
//   object |
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_KERNELS_CODEGEN_KERNELCACHE_H
#define DEEPSHARD_PASSES_KERNELS_CODEGEN_KERNELCACHE_H

#include "llvm/ADT/StringRef.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>

namespace deepshard {

/// $XDG_CACHE_HOME/deepshard/kernels, or ~/.cache/deepshard/kernels; empty without a HOME.
std::string defaultKernelCacheDirectory();

class KernelCache {
public:
  using Key = std::array<unsigned char, 16>;

  /// Bytes of entries beyond which the oldest go.
  static constexpr uint64_t kMostBytes = 256ull << 20;

  /// An empty directory is no cache. It is made when something is stored.
  explicit KernelCache(std::string directory, uint64_t mostBytes = kMostBytes)
      : directory(std::move(directory)), mostBytes(mostBytes) {}

  /// The key of a kernel, printed without locations, for a CPU level, compiled by this build.
  static Key keyOf(llvm::StringRef source, llvm::StringRef cpuLevel);

  /// The object stored under `key`, if there is a sound one. Counts as use of the entry.
  std::optional<std::string> find(const Key &key) const;
  void store(const Key &key, llvm::StringRef object) const;
  /// Removes the entries that were not used for the longest time until the others take three
  /// quarters of what is allowed; nothing if they do not take more than that.
  void prune() const;

private:
  std::string pathOf(const Key &key) const;

  std::string directory;
  uint64_t mostBytes;
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_KERNELS_CODEGEN_KERNELCACHE_H
