//===- Control.h - the control block that all ranks of a job share ----------------------------===//
//
// Layout, each part on cache lines of its own:
//
//     Job                      abort flag and reason, the last step
//     RankState[ranks]         what a rank says of itself
//     Flag[kMaxGroups][ranks]  the phase that a rank has reached in its group of that index
//
// A rank is in one group of each index at most (a group is the ranks that differ in certain
// coordinates only), so groups of the same index never share a flag. All members are lock-free
// atomics: they work between processes as between threads.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_COMM_CONTROL_H
#define DEEPSHARD_RUNTIME_COMM_CONTROL_H

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace deepshard::runtime {

/// Two cache lines: the prefetcher of x86 fetches them in pairs.
constexpr size_t kFlagAlignment = 128;
constexpr int kMaxGroups = 128;

/// Where one rank stands in one group. `phase` only grows (and wraps: compare differences); it and
/// `offset`, where in its window the rank offers data, are written by the rank only. `sleepers`
/// counts those who sleep until the phase changes.
struct alignas(kFlagAlignment) Flag {
  std::atomic<uint32_t> phase;
  std::atomic<uint32_t> sleepers;
  std::atomic<uint64_t> offset;
};

struct alignas(kFlagAlignment) RankState {
  std::atomic<uint64_t> noted;     ///< sequence number + 1; 0: nothing noted
  std::atomic<uint64_t> published; ///< World::publish
  std::atomic<uint32_t> waitsFor;  ///< rank + 1 of a rank this one has waited for a while; 0: none
};

/// The control block of a job. A value: copies speak of the same memory.
class Control {
public:
  static size_t bytesFor(int ranks);
  /// `memory`: bytesFor(ranks) bytes, shared, zero, aligned to a page.
  Control(void *memory, int ranks);

  int ranks() const { return rankCount; }
  Flag &flag(int group, int rank) const { return flags[group * rankCount + rank]; }
  RankState &state(int rank) const { return states[rank]; }
  std::atomic<uint64_t> &lastStep() const { return job->lastStep; }

  bool isAborted() const noexcept {
    return job->abortPhase.load(std::memory_order_acquire) != kRunning;
  }
  /// The first call is kept.
  void abort(int rank, std::string_view reason) noexcept;
  /// "rank 2: its reason"; empty if nobody aborted.
  std::string abortReason() const;
  /// Throws Error with the reason if the job was aborted.
  void throwIfAborted() const {
    if (isAborted())
      throwAborted();
  }

private:
  static constexpr uint32_t kRunning = 0, kWritingReason = 1, kAborted = 2;
  static constexpr size_t kReasonBytes = 2048;

  struct alignas(kFlagAlignment) Job {
    std::atomic<uint32_t> abortPhase;
    int abortRank;
    uint32_t reasonBytes;
    char reason[kReasonBytes];
    alignas(kFlagAlignment) std::atomic<uint64_t> lastStep;
  };

  [[noreturn]] void throwAborted() const;

  Job *job;
  RankState *states;
  Flag *flags;
  int rankCount;
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_COMM_CONTROL_H
