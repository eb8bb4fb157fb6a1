//===- Control.cpp - the control block that all ranks of a job share --------------------------===//

#include "runtime/comm/Control.h"

#include "runtime/plan/Error.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <limits>
#include <new>

#include <sched.h>

using namespace deepshard::runtime;

static_assert(std::atomic<uint32_t>::is_always_lock_free);
static_assert(std::atomic<uint64_t>::is_always_lock_free);

size_t Control::bytesFor(int ranks) {
  return sizeof(Job) + ranks * sizeof(RankState) + size_t{kMaxGroups} * ranks * sizeof(Flag);
}

Control::Control(void *memory, int ranks) : rankCount(ranks) {
  char *at = static_cast<char *>(memory);
  job = new (at) Job{};
  job->lastStep.store(std::numeric_limits<uint64_t>::max());
  at += sizeof(Job);
  states = reinterpret_cast<RankState *>(at);
  for (int rank = 0; rank < ranks; ++rank)
    new (states + rank) RankState{};
  at += ranks * sizeof(RankState);
  flags = reinterpret_cast<Flag *>(at);
  for (int index = 0; index < kMaxGroups * ranks; ++index)
    new (flags + index) Flag{};
}

void Control::abort(int rank, std::string_view reason) noexcept {
  uint32_t expected = kRunning;
  if (!job->abortPhase.compare_exchange_strong(expected, kWritingReason))
    return;
  job->abortRank = rank;
  job->reasonBytes = static_cast<uint32_t>(std::min(reason.size(), kReasonBytes));
  std::memcpy(job->reason, reason.data(), job->reasonBytes);
  job->abortPhase.store(kAborted, std::memory_order_release);
}

std::string Control::abortReason() const {
  if (!isAborted())
    return {};
  // Whoever writes the reason needs a moment, unless it was killed while it did.
  for (int tries = 0; job->abortPhase.load(std::memory_order_acquire) != kAborted; ++tries) {
    if (tries == 100'000)
      return "a rank that was killed before it could say why";
    ::sched_yield();
  }
  return fmt::format("rank {}: {}", job->abortRank,
                     std::string_view(job->reason, job->reasonBytes));
}

void Control::throwAborted() const {
  throw Error("the job was ended by " + abortReason(), ExitCode::RankFailed);
}
