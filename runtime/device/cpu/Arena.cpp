//===- Arena.cpp - memory of the host ---------------------------------------------------------===//

#include "runtime/device/cpu/Arena.h"

#include "runtime/plan/Error.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include <sys/mman.h>

namespace deepshard::runtime {

HostArena::HostArena(uint64_t bytes) : Arena(bytes) {
  if (bytes == 0)
    return;
  mappedBytes = bytes + kAlignment;
  mapping = ::mmap(nullptr, mappedBytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED)
    throw Error(fmt::format("this machine does not give {} bytes of memory, which the plan needs: "
                            "{}",
                            bytes, std::strerror(errno)));
  uintptr_t address = reinterpret_cast<uintptr_t>(mapping);
  uintptr_t aligned = (address + kAlignment - 1) / kAlignment * kAlignment;
  base = reinterpret_cast<char *>(aligned);
  // Huge pages only for whole 2 MiB blocks inside: the rounded-up tail would count as used memory.
  size_t whole = bytes / kAlignment * kAlignment;
  if (whole > 0)
    ::madvise(base, whole, MADV_HUGEPAGE);
}

HostArena::~HostArena() {
  if (mapping)
    ::munmap(mapping, mappedBytes);
}

} // namespace deepshard::runtime
