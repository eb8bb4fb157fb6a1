//===- PeerPages.cpp - pages of other ranks' windows in this process --------------------------===//

#include "runtime/comm/PeerPages.h"

#include <algorithm>

#include <sys/mman.h>
#include <unistd.h>

using namespace deepshard::runtime;

namespace {

constexpr int64_t kMostKept = int64_t{32} << 20;

/// Whole pages: a neighbour on the same page is unmapped too, which costs it a page fault.
void unmap(const char *begin, int64_t bytes) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t first = reinterpret_cast<uintptr_t>(begin) / page * page;
  const uintptr_t end = reinterpret_cast<uintptr_t>(begin) + static_cast<uintptr_t>(bytes);
  // If it fails the pages stay, which harms nothing.
  (void)::madvise(reinterpret_cast<void *>(first), end - first, MADV_DONTNEED);
}

} // namespace

void PeerPages::touch(const char *begin, int64_t bytes) {
  auto [place, isNew] = places.try_emplace(begin);
  if (isNew) {
    place->second = parts.insert(parts.end(), {begin, 0, turn});
  } else {
    parts.splice(parts.end(), parts, place->second);
  }
  Part &part = *place->second;
  part.turn = turn;
  total += std::max<int64_t>(bytes - part.bytes, 0);
  part.bytes = std::max(bytes, part.bytes);
  trim();
}

void PeerPages::trim() {
  while (total > kMostKept && parts.front().turn != turn) {
    const Part &part = parts.front();
    unmap(part.begin, part.bytes);
    total -= part.bytes;
    places.erase(part.begin);
    parts.pop_front();
  }
}
