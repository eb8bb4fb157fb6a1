//===- PeerPagesTest.cpp - what stays mapped of other ranks' windows --------------------------===//

#include "runtime/comm/PeerPages.h"

#include "test/unit/comm/Ranks.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

using namespace deepshard;
using namespace deepshard::runtime;
using namespace deepshard::runtime::test;

namespace {

constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kPage = 4096;

/// MiB of a range (whole pages) that this process has mapped, rounded: a page fault brings the
/// pages around it too. An entry of 64 bits for each page, bit 63: it is in memory. (Linux,
/// Documentation/admin-guide/mm/pagemap.rst.)
int64_t residentMiB(const char *begin, int64_t bytes) {
  std::vector<uint64_t> entries(static_cast<size_t>(bytes / kPage));
  const int table = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  const auto length = static_cast<ssize_t>(entries.size() * sizeof(uint64_t));
  EXPECT_EQ(::pread(table, entries.data(), static_cast<size_t>(length),
                    static_cast<off_t>(reinterpret_cast<uintptr_t>(begin) / kPage * 8)),
            length);
  ::close(table);
  const auto pages =
      std::count_if(entries.begin(), entries.end(), [](uint64_t entry) { return entry >> 63; });
  return (pages * kPage + kMiB / 2) / kMiB;
}

class PeerPagesTest : public testing::Test {
protected:
  static constexpr int64_t kBytes = 160 * kMiB;

  void SetUp() override {
    void *mapping =
        ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(mapping, MAP_FAILED);
    window = static_cast<char *>(mapping);
    for (int64_t at = 0; at < kBytes; at += kPage)
      window[at] = contentOf(at);
    ASSERT_EQ(::madvise(window, kBytes, MADV_DONTNEED), 0);
    ASSERT_EQ(resident(0, kBytes), 0);
  }
  void TearDown() override { ::munmap(window, kBytes); }

  static char contentOf(int64_t at) { return static_cast<char>(at / kPage % 127 + 1); }

  /// Reads a part as a collective would.
  void read(int64_t begin, int64_t bytes) {
    pages.touch(window + begin, bytes);
    for (int64_t at = begin; at < begin + bytes; at += kPage)
      EXPECT_EQ(window[at], contentOf(at));
  }

  int64_t resident(int64_t begin, int64_t bytes) const {
    return residentMiB(window + begin, bytes);
  }

  char *window = nullptr;
  PeerPages pages;
};

TEST_F(PeerPagesTest, TheLongestUntouchedGoFirst) {
  for (int64_t part = 0; part < 4; ++part) {
    read(part * 10 * kMiB, 10 * kMiB);
    if (part == 2)
      read(0, 10 * kMiB);
    pages.endTurn();
  }
  EXPECT_EQ(resident(0, 10 * kMiB), 10);
  EXPECT_EQ(resident(10 * kMiB, 10 * kMiB), 0);
  EXPECT_EQ(resident(20 * kMiB, 20 * kMiB), 20);
  read(10 * kMiB, 10 * kMiB); // the content is still there
}

TEST_F(PeerPagesTest, WhatIsUsedAgainAndAgainStays) {
  for (int turn = 0; turn < 3; ++turn) {
    read(0, 64 * kMiB);
    read(96 * kMiB, 64 * kMiB);
    pages.endTurn();
    EXPECT_EQ(resident(0, 64 * kMiB), 64);
    EXPECT_EQ(resident(96 * kMiB, 64 * kMiB), 64);
  }
  read(64 * kMiB, 2 * kMiB);
  pages.endTurn();
  EXPECT_EQ(resident(0, kBytes), 2);
}

TEST_F(PeerPagesTest, APartThatGrowsIsOne) {
  for (int64_t bytes : {2, 8, 40, 8})
    read(0, bytes * kMiB);
  pages.endTurn();
  EXPECT_EQ(resident(0, kBytes), 40);
  read(64 * kMiB, 32 * kMiB);
  pages.endTurn();
  EXPECT_EQ(resident(0, 64 * kMiB), 0);
}

TEST_F(PeerPagesTest, RoomIsMadeBeforeMoreIsMapped) {
  read(0, 30 * kMiB);
  pages.endTurn();
  pages.touch(window + 64 * kMiB, 64 * kMiB);
  EXPECT_EQ(resident(0, kBytes), 0);
}

/// Two ranks, collectives of 20 MiB each from the other's window: the last two would be more than
/// is kept, so only those of the last are mapped.
TEST(PeerPagesOfCollectives, TheOtherWindowIsMappedWhereItWasUsedLast) {
  constexpr int64_t kPart = 20 * kMiB;
  constexpr int64_t kElements = kPart / 4;
  World world(2, 160 * kMiB, kPatience);
  runRanks(Backend::Processes, 2, [&](int rank) {
    const auto comm = world.communicator(rank, 0, everyone(2));
    char *own = world.window(rank);
    const char *other = world.window(1 - rank);
    std::vector<float> output(2 * kElements);
    // What is mapped of each 20 MiB.
    const auto mapped = [&] {
      std::vector<int64_t> parts;
      for (int64_t at = 0; at < 160 * kMiB; at += kPart)
        parts.push_back(residentMiB(other + at, kPart));
      return parts;
    };
    const auto only = [&](int64_t part) {
      std::vector<int64_t> parts(8, 0);
      parts[static_cast<size_t>(part)] = 20;
      return parts;
    };
    comm->allReduce(own, own, 2 * kElements, DType::F32, Reduction::Sum);
    EXPECT_EQ(mapped(), only(rank));
    comm->reduceScatter(own + 2 * kPart, output.data(), 1, kElements, DType::F32, Reduction::Sum);
    EXPECT_EQ(mapped(), only(2 + rank));
    comm->allGather(own + 4 * kPart, output.data(), 1, kElements, DType::F32);
    EXPECT_EQ(mapped(), only(4));
    comm->permute(own + 5 * kPart, output.data(), kElements, DType::F32, std::vector<int>{1, 0});
    EXPECT_EQ(mapped(), only(5));
    comm->allToAllForward(own + 6 * kPart, output.data(), 1, 1, kElements, DType::F32);
    EXPECT_EQ(mapped(), only(6 + rank));
    comm->allReduce(own, own, 2 * kElements, DType::F32, Reduction::Sum);
    comm->allToAllBackward(own + 6 * kPart, output.data(), 1, 1, kElements, DType::F32);
    EXPECT_EQ(mapped(), only(6 + rank));
  });
}

} // namespace
