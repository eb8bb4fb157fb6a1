//===- PeakMemory.h - the most memory that a rank has had -------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_TRACE_PEAKMEMORY_H
#define DEEPSHARD_RUNTIME_TRACE_PEAKMEMORY_H

#include <cstdint>
#include <span>
#include <vector>

namespace deepshard::runtime {

/// Most physical memory that this process has had and that is its own. The resident size of a
/// process counts shared pages in every process that touched them; summed over the ranks of a job,
/// what one owns and others read would be counted several times.
class PeakMemory {
public:
  /// `borrowed`: ranges whose memory belongs to other processes (the windows of other ranks).
  explicit PeakMemory(std::vector<std::span<const char>> borrowed);

  /// Bytes: the peak resident size (VmHWM) less the touched pages of what is borrowed. If these
  /// are still growing when the peak is reached, as in the first step of a job, it is up to their
  /// growth since too small, and too large by what was given back since (PeerPages.h). 0 if the
  /// system does not say.
  uint64_t bytes();

private:
  std::vector<std::span<const char>> borrowed;
  uint64_t resident = 0, peak = 0;
};

/// Bytes of the pages in `range` that this process has touched and that lie in memory; 0 if the
/// system does not say. Reads 8 bytes of the kernel's page table for each.
uint64_t residentBytes(std::span<const char> range);

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_TRACE_PEAKMEMORY_H
