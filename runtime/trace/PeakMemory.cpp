//===- PeakMemory.cpp - the most memory that a rank has had -----------------------------------===//

#include "runtime/trace/PeakMemory.h"

#include <algorithm>
#include <fstream>
#include <string>

#include <fcntl.h>
#include <unistd.h>

namespace deepshard::runtime {

namespace {

uint64_t peakResidentBytes() {
  std::ifstream status("/proc/self/status");
  std::string word;
  uint64_t kibibytes = 0;
  while (status >> word)
    if (word == "VmHWM:" && status >> kibibytes)
      return kibibytes * 1024;
  return 0;
}

} // namespace

PeakMemory::PeakMemory(std::vector<std::span<const char>> borrowed)
    : borrowed(std::move(borrowed)) {}

uint64_t PeakMemory::bytes() {
  const uint64_t found = peakResidentBytes();
  if (found == resident) // no new peak: what was borrowed at that time counts
    return peak;
  resident = found;
  uint64_t own = found;
  for (std::span<const char> range : borrowed)
    own -= std::min(own, residentBytes(range));
  peak = std::max(peak, own);
  return peak;
}

// The format of pagemap: an entry of 64 bits for each page; bit 63: it is in memory.
// (Linux, Documentation/admin-guide/mm/pagemap.rst.)
uint64_t residentBytes(std::span<const char> range) {
  const uint64_t pageBytes = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const uint64_t first = reinterpret_cast<uintptr_t>(range.data()) / pageBytes;
  const uint64_t end =
      (reinterpret_cast<uintptr_t>(range.data()) + range.size() + pageBytes - 1) / pageBytes;
  const int table = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC); // takes whole entries only
  std::vector<uint64_t> entries(4096);
  uint64_t pages = 0;
  for (uint64_t page = first; page < end;) {
    const ssize_t bytes = ::pread(table, entries.data(),
                                  std::min<uint64_t>(end - page, entries.size()) * sizeof(uint64_t),
                                  static_cast<off_t>(page * sizeof(uint64_t)));
    if (bytes <= 0)
      break;
    const ssize_t count = bytes / static_cast<ssize_t>(sizeof(uint64_t));
    pages += std::count_if(entries.begin(), entries.begin() + count,
                           [](uint64_t entry) { return entry >> 63; });
    page += static_cast<uint64_t>(count);
  }
  if (table >= 0)
    ::close(table);
  return pages * pageBytes;
}

} // namespace deepshard::runtime
