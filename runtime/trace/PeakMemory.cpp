//===- PeakMemory.cpp - the most memory that a rank has had -----------------------------------===//

#include "runtime/trace/PeakMemory.h"

#include <fstream>
#include <string>

uint64_t deepshard::runtime::peakResidentBytes() {
  std::ifstream status("/proc/self/status");
  std::string word;
  uint64_t kibibytes = 0;
  while (status >> word)
    if (word == "VmHWM:" && status >> kibibytes)
      return kibibytes * 1024;
  return 0;
}
