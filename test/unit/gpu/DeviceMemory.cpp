//===- DeviceMemory.cpp - memory of an emulated device ----------------------------------------===//

#include "DeviceMemory.h"

#include <new>
#include <sys/mman.h>

namespace deepshard {

static constexpr size_t kPage = 4096;

DeviceMemory::~DeviceMemory() {
  for (const Allocation &allocation : allocations)
    munmap(allocation.pages, allocation.pageBytes);
}

char *DeviceMemory::allocate(size_t bytes, size_t shift) {
  size_t aligned = (bytes + shift + kAlignment - 1) / kAlignment * kAlignment;
  size_t inside = (aligned + kPage - 1) / kPage * kPage;
  size_t all = inside + 2 * kPage;
  void *pages = mmap(nullptr, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED)
    throw std::bad_alloc();
  char *first = static_cast<char *>(pages) + kPage;
  if (inside > 0)
    mprotect(first, inside, PROT_READ | PROT_WRITE);
  char *data = first + inside - aligned + shift;
  // Positions are multiples of 64 apart, as if in one space.
  allocations.push_back({data, bytes, static_cast<char *>(pages), all, total + shift});
  total += (aligned + 63) / 64 * 64;
  return data;
}

const DeviceMemory::Allocation *DeviceMemory::find(uint64_t address) const {
  for (const Allocation &allocation : allocations) {
    auto first = reinterpret_cast<uint64_t>(allocation.data);
    if (address >= first && address < first + allocation.bytes)
      return &allocation;
  }
  return nullptr;
}

bool DeviceMemory::contains(uint64_t address, size_t bytes) const {
  const Allocation *allocation = find(address);
  return allocation &&
         address + bytes <= reinterpret_cast<uint64_t>(allocation->data) + allocation->bytes;
}

size_t DeviceMemory::positionOf(uint64_t address) const {
  const Allocation *allocation = find(address);
  return allocation->position + (address - reinterpret_cast<uint64_t>(allocation->data));
}

} // namespace deepshard
