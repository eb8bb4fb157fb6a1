//===- Rendezvous.cpp - how the members of a group wait for one another -----------------------===//

#include "runtime/comm/Rendezvous.h"

#include "runtime/plan/Error.h"

#include <algorithm>
#include <climits>
#include <ctime>
#include <fmt/format.h>

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace deepshard::runtime;
using Clock = std::chrono::steady_clock;

namespace {

constexpr int kSpins = 200; // some 10 us: a pause takes 50 ns
constexpr auto kOfferCore =
    std::chrono::microseconds(50);             // then a wake-up costs less than it saves
constexpr long kSleepNanoseconds = 10'000'000; // until abort and timeout are looked at

long futex(std::atomic<uint32_t> &word, int operation, uint32_t value, const timespec *limit) {
  // Not FUTEX_PRIVATE_FLAG: the word may be waited for by another process.
  return ::syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), operation, value, limit, nullptr,
                   0);
}

} // namespace

Rendezvous::Rendezvous(const Control &control, int group, std::span<const int> members, int self,
                       const Patience &patience)
    : control(control), members(members.begin(), members.end()), place(self), patience(patience) {
  for (int rank : members)
    flags.push_back(&control.flag(group, rank));
  phase = flags[self]->phase.load(std::memory_order_relaxed);
}

void Rendezvous::arrive() {
  Flag &flag = *flags[place];
  // Sequentially consistent, as is the count of sleepers: either we see the sleeper, or it sees
  // the new phase.
  flag.phase.exchange(++phase);
  if (flag.sleepers.load() > 0)
    futex(flag.phase, FUTEX_WAKE, INT_MAX, nullptr);
}

void Rendezvous::wait(int member) {
  if (lookOften(member))
    return;
  std::atomic<uint32_t> &waitsFor = control.state(members[place]).waitsFor;
  waitsFor.store(members[member] + 1, std::memory_order_relaxed);
  sleep(member);
  waitsFor.store(0, std::memory_order_relaxed);
}

/// True if the member arrived while it was still worth staying awake.
bool Rendezvous::lookOften(int member) const {
  for (int spin = 0; patience.spins && spin < kSpins; ++spin) {
    __builtin_ia32_pause();
    if (hasArrived(member))
      return true;
  }
  const auto end = Clock::now() + kOfferCore;
  do {
    control.throwIfAborted();
    ::sched_yield();
    if (hasArrived(member))
      return true;
  } while (Clock::now() < end);
  return false;
}

void Rendezvous::sleep(int member) {
  uint64_t seen = progress();
  auto moved = Clock::now();
  while (!hasArrived(member)) {
    control.throwIfAborted();
    sleepOnce(member);
    const auto now = Clock::now();
    if (const uint64_t next = progress(); next != seen) {
      seen = next;
      moved = now;
    } else if (now - moved >= patience.timeout && !hasArrived(member)) {
      control.throwIfAborted();
      giveUp();
    }
  }
}

void Rendezvous::sleepOnce(int member) const {
  Flag &flag = *flags[member];
  flag.sleepers.fetch_add(1);
  const uint32_t value = flag.phase.load();
  if (static_cast<int32_t>(value - phase) < 0) {
    const timespec limit{0, kSleepNanoseconds};
    futex(flag.phase, FUTEX_WAIT, value, &limit);
  }
  flag.sleepers.fetch_sub(1);
}

/// A number that changes when a member enters a phase of this group or notes another task.
uint64_t Rendezvous::progress() const {
  uint64_t sum = 0;
  for (int member = 0; member < size(); ++member)
    sum += flags[member]->phase.load(std::memory_order_relaxed) +
           control.state(members[member]).noted.load(std::memory_order_relaxed);
  return sum;
}

void Rendezvous::giveUp() {
  std::string missing;
  for (int member = 0; member < size(); ++member)
    if (!hasArrived(member))
      missing += (missing.empty() ? "" : ", ") + describeMissing(member);
  const std::string reason =
      fmt::format("waited {:g} s for {}", patience.timeout.count() / 1000.0, missing);
  control.abort(members[place], reason);
  throw Error(fmt::format("rank {}: {}", members[place], reason), ExitCode::RankFailed);
}

/// "rank 1 (last noted: collective 7), which waits for rank 0 (last noted: nothing)": a member may
/// be missing here only because it waits elsewhere.
std::string Rendezvous::describeMissing(int member) const {
  std::string text;
  std::vector<bool> isNamed(control.ranks(), false);
  int rank = members[member];
  while (true) {
    isNamed[rank] = true;
    const RankState &state = control.state(rank);
    const uint64_t noted = state.noted.load(std::memory_order_relaxed);
    text += fmt::format("rank {} (last noted: {})", rank,
                        noted == 0 ? "nothing" : fmt::format("collective {}", noted - 1));
    const uint32_t next = state.waitsFor.load(std::memory_order_relaxed);
    if (next == 0)
      return text;
    rank = static_cast<int>(next) - 1;
    text += ", which waits for ";
    if (isNamed[rank])
      return text + fmt::format("rank {}", rank);
  }
}
