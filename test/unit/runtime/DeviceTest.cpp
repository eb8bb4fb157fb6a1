//===- DeviceTest.cpp - streams, events, arenas -----------------------------------------------===//

#include "runtime/device/cpu/Arena.h"
#include "runtime/device/cpu/Stream.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <cstring>

using namespace deepshard::runtime;

namespace {

TEST(ArenaTest, IsAlignedAndZero) {
  constexpr uint64_t kBytes = (5u << 20) + 123;
  HostArena arena(kBytes);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(arena.data()) % HostArena::kAlignment, 0u);
  EXPECT_TRUE(std::all_of(arena.data(), arena.data() + kBytes, [](char c) { return c == 0; }));
  std::memset(arena.data(), 1, kBytes);
  EXPECT_EQ(HostArena(0).size(), 0u);
}

struct Log {
  std::vector<uint64_t> entries;
  static void append(void *log, uint64_t value) noexcept {
    static_cast<Log *>(log)->entries.push_back(value);
  }
};

TEST(StreamTest, RunsInOrderAndBeyondItsQueue) {
  Log log;
  CpuStream stream(1);
  constexpr uint64_t kItems = 20000; // more than the queue holds
  for (uint64_t i = 0; i < kItems; ++i)
    stream.issue(Log::append, &log, i);
  stream.join();
  ASSERT_EQ(log.entries.size(), kItems);
  EXPECT_TRUE(std::is_sorted(log.entries.begin(), log.entries.end()));
}

TEST(StreamTest, EventsOrderStreams) {
  // Two streams append in turn; without the events the log would be a race.
  Log log;
  CpuEvent first, second;
  CpuStream a(1), b(1);
  for (uint64_t i = 0; i < 2000; ++i) {
    if (i > 0)
      a.wait(second);
    a.issue(Log::append, &log, 2 * i);
    a.record(first);
    b.wait(first);
    b.issue(Log::append, &log, 2 * i + 1);
    b.record(second);
  }
  a.join();
  b.join();
  ASSERT_EQ(log.entries.size(), 4000u);
  EXPECT_TRUE(std::is_sorted(log.entries.begin(), log.entries.end()));
}

TEST(StreamTest, WaitMeansTheLatestRecordBefore) {
  // The wait is issued before the second record, so it must not wait for it: that one comes after
  // the wait's stream.
  std::atomic<int> count = 0;
  auto increment = [](void *context, uint64_t) noexcept {
    ++*static_cast<std::atomic<int> *>(context);
  };
  CpuEvent event, done;
  CpuStream a(1), b(1);
  a.record(event);
  b.wait(event);
  b.issue(increment, &count, 0);
  b.record(done);
  a.wait(done);
  a.record(event);
  a.join();
  EXPECT_EQ(count, 1);
}

TEST(StreamTest, DestructionRunsWhatWasIssued) {
  Log log;
  {
    CpuStream stream(1);
    for (uint64_t i = 0; i < 100; ++i)
      stream.issue(Log::append, &log, i);
  }
  EXPECT_EQ(log.entries.size(), 100u);
}

} // namespace
