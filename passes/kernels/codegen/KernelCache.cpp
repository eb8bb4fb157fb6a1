//===- KernelCache.cpp - objects of kernels from earlier runs ---------------------------------===//

#include "passes/kernels/codegen/KernelCache.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

using namespace llvm;

namespace deepshard {

static constexpr StringLiteral kMagic("DSKERN\n\x01");
static constexpr size_t kLengthAt = 24, kChecksumAt = 32, kHeaderBytes = 40;
static constexpr StringLiteral kSuffix(".kernel"), kTemporarySuffix(".writing");

std::string defaultKernelCacheDirectory() {
  SmallString<128> path;
  if (const char *caches = std::getenv("XDG_CACHE_HOME"); caches && sys::path::is_absolute(caches))
    path = caches;
  else if (const char *home = std::getenv("HOME"); home && *home)
    sys::path::append(path, home, ".cache");
  else
    return "";
  sys::path::append(path, "deepshard", "kernels");
  return std::string(path);
}

/// Parts are separated by a byte that no text has.
KernelCache::Key KernelCache::keyOf(StringRef source, StringRef cpuLevel) {
  XXH3_state_t state;
  XXH3_128bits_reset(&state);
  // DEEPSHARD_CODEGEN_HASH is that of the sources of this library.
  for (StringRef part :
       {StringRef(DEEPSHARD_CODEGEN_HASH), StringRef(LLVM_VERSION_STRING), cpuLevel, source}) {
    XXH3_128bits_update(&state, part.data(), part.size());
    XXH3_128bits_update(&state, "", 1);
  }
  XXH128_canonical_t bytes;
  XXH128_canonicalFromHash(&bytes, XXH3_128bits_digest(&state));
  Key key;
  std::memcpy(key.data(), bytes.digest, key.size());
  return key;
}

std::string KernelCache::pathOf(const Key &key) const {
  SmallString<128> path(directory);
  sys::path::append(path, toHex(key, /*LowerCase=*/true) + kSuffix);
  return std::string(path);
}

static uint64_t checksumOf(StringRef header, StringRef object) {
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  XXH3_64bits_update(&state, header.data(), kChecksumAt);
  XXH3_64bits_update(&state, object.data(), object.size());
  return XXH3_64bits_digest(&state);
}

static std::string headerOf(const KernelCache::Key &key, StringRef object) {
  std::string header(kHeaderBytes, '\0');
  std::memcpy(header.data(), kMagic.data(), kMagic.size());
  std::memcpy(header.data() + kMagic.size(), key.data(), key.size());
  support::endian::write64le(header.data() + kLengthAt, object.size());
  support::endian::write64le(header.data() + kChecksumAt, checksumOf(header, object));
  return header;
}

std::optional<std::string> KernelCache::find(const Key &key) const {
  if (directory.empty())
    return std::nullopt;
  std::string path = pathOf(key);
  if (!sys::fs::is_regular_file(path)) // a pipe would be waited for
    return std::nullopt;
  // Read, not mapped: somebody could cut the file short while it is looked at.
  ErrorOr<std::unique_ptr<MemoryBuffer>> file = MemoryBuffer::getFile(
      path, /*IsText=*/false, /*RequiresNullTerminator=*/false, /*IsVolatile=*/true);
  if (!file)
    return std::nullopt;
  StringRef bytes = (*file)->getBuffer();
  if (bytes.size() < kHeaderBytes)
    return std::nullopt;
  StringRef object = bytes.drop_front(kHeaderBytes);
  if (bytes.take_front(kHeaderBytes) != headerOf(key, object))
    return std::nullopt;
  (void)::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
  return object.str();
}

void KernelCache::store(const Key &key, StringRef object) const {
  if (directory.empty() || sys::fs::create_directories(directory))
    return;
  SmallString<128> model(directory), temporary;
  sys::path::append(model, "%%%%%%%%%%%%%%%%" + kTemporarySuffix);
  int descriptor = -1;
  if (sys::fs::createUniqueFile(model, descriptor, temporary))
    return;
  raw_fd_ostream stream(descriptor, /*shouldClose=*/true);
  stream << headerOf(key, object) << object;
  stream.close();
  bool isWritten = !stream.has_error();
  stream.clear_error();
  if (!isWritten || sys::fs::rename(temporary, pathOf(key)))
    sys::fs::remove(temporary);
}

void KernelCache::prune() const {
  struct Entry {
    std::string path;
    sys::TimePoint<> used;
    uint64_t bytes;
  };
  if (directory.empty())
    return;
  // Nobody writes for longer; who died while writing left a file behind.
  const sys::TimePoint<> abandoned = std::chrono::system_clock::now() - std::chrono::hours(1);
  std::vector<Entry> entries;
  uint64_t total = 0;
  std::error_code code;
  for (sys::fs::directory_iterator at(directory, code), end; !code && at != end;
       at.increment(code)) {
    ErrorOr<sys::fs::basic_file_status> status = at->status();
    if (!status || status->type() != sys::fs::file_type::regular_file)
      continue;
    StringRef path = at->path();
    if (path.ends_with(kSuffix)) {
      entries.push_back({path.str(), status->getLastModificationTime(), status->getSize()});
      total += status->getSize();
    } else if (path.ends_with(kTemporarySuffix) && status->getLastModificationTime() < abandoned) {
      sys::fs::remove(path);
    }
  }
  if (total <= mostBytes)
    return;
  llvm::sort(entries, [](const Entry &a, const Entry &b) {
    return std::tie(a.used, a.path) < std::tie(b.used, b.path);
  });
  for (const Entry &entry : entries) {
    if (total <= mostBytes / 4 * 3)
      return;
    sys::fs::remove(entry.path);
    total -= entry.bytes;
  }
}

} // namespace deepshard
