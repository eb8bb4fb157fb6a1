//===- PeerPages.cpp - pages of other ranks' windows in this process --------------------------===//

#include "runtime/comm/PeerPages.h"

#include <algorithm>

#include <sys/mman.h>
#include <unistd.h>

using namespace deepshard::runtime;

namespace {

constexpr int64_t kLeastCounted = int64_t{1} << 20;
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

void PeerPages::touched(const char *begin, int64_t bytes) {
  if (bytes < kLeastCounted)
    return;
  auto known = std::find_if(parts.begin(), parts.end(),
                            [&](const Part &part) { return part.begin == begin; });
  if (known != parts.end()) {
    bytes = std::max(bytes, known->bytes);
    total -= known->bytes;
    parts.erase(known);
  }
  parts.push_back({begin, bytes, turn});
  total += bytes;
}

void PeerPages::trim() {
  auto old = parts.begin();
  for (; old != parts.end() && total > kMostKept && old->turn != turn; ++old) {
    unmap(old->begin, old->bytes);
    total -= old->bytes;
  }
  parts.erase(parts.begin(), old);
  ++turn;
}
