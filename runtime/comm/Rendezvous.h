//===- Rendezvous.h - how the members of a group wait for one another -------------------------===//
//
// Every member counts phases: a collective is one phase in which its data are ready and one in
// which it is done with those of the others. A member publishes its count in its flag (Control.h)
// and waits until the flags of others have reached the same count. Counts only grow, so nothing is
// ever reset and a flag cannot be mistaken for one of another collective.
//
// Waiting spins for some microseconds, then gives the core away between looks (ranks may outnumber
// cores, and compute threads want them), then sleeps on the flag. Sleeps are short enough to notice
// that the job was aborted or that nobody moves any more.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_COMM_RENDEZVOUS_H
#define DEEPSHARD_RUNTIME_COMM_RENDEZVOUS_H

#include "runtime/comm/Control.h"

#include <chrono>
#include <span>
#include <string>
#include <vector>

namespace deepshard::runtime {

/// How a member waits.
struct Patience {
  bool spins;                        ///< at first, because every rank has a core
  std::chrono::milliseconds timeout; ///< until members that do not move are given up
};

/// One member's side. Used by one thread at a time.
class Rendezvous {
public:
  /// `members`: ranks of the group; `self`: this one's place among them.
  Rendezvous(const Control &control, int group, std::span<const int> members, int self,
             const Patience &patience);

  int self() const { return place; }
  int size() const { return static_cast<int>(flags.size()); }

  /// Enters the next phase: what this rank wrote before is seen by those who await it.
  void arrive();
  /// As arrive(), and says where in its window this rank's data are, until the phase after the
  /// next.
  void arriveWith(uint64_t offset) {
    flags[place]->offset.store(offset, std::memory_order_relaxed);
    arrive();
  }
  /// What the member, awaited in this phase, gave to arriveWith.
  uint64_t offsetOf(int member) const {
    return flags[member]->offset.load(std::memory_order_relaxed);
  }
  /// Returns when `member` has entered this phase. Throws Error if the job was aborted, or if no
  /// member of the group moved for the timeout; the latter aborts the job.
  void await(int member) {
    if (!hasArrived(member))
      wait(member);
  }
  void awaitAll() {
    for (int member = 0; member < size(); ++member)
      await(member);
  }
  void throwIfAborted() const { control.throwIfAborted(); }

private:
  bool hasArrived(int member) const {
    const uint32_t theirs = flags[member]->phase.load(std::memory_order_acquire);
    return static_cast<int32_t>(theirs - phase) >= 0;
  }
  void wait(int member);
  bool lookOften(int member) const;
  void sleep(int member);
  void sleepOnce(int member) const;
  uint64_t progress() const;
  [[noreturn]] void giveUp();
  std::string describeMissing(int member) const;

  Control control;
  std::vector<int> members;
  std::vector<Flag *> flags; // of the members
  int place;
  uint32_t phase; // as in our own flag
  Patience patience;
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_COMM_RENDEZVOUS_H
