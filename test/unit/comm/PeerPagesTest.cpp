//===- PeerPagesTest.cpp - what stays mapped of other ranks' windows --------------------------===//

#include "runtime/comm/PeerPages.h"

#include "runtime/trace/PeakMemory.h"

#include <gtest/gtest.h>

#include <sys/mman.h>

using namespace deepshard::runtime;

namespace {

constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kPage = 4096;

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
    for (int64_t at = begin; at < begin + bytes; at += kPage)
      EXPECT_EQ(window[at], contentOf(at));
    pages.touched(window + begin, bytes);
  }

  /// MiB, rounded: a page fault brings the pages around it too.
  int64_t resident(int64_t begin, int64_t bytes) const {
    const uint64_t found = residentBytes({window + begin, static_cast<size_t>(bytes)});
    return (static_cast<int64_t>(found) + kMiB / 2) / kMiB;
  }

  char *window = nullptr;
  PeerPages pages;
};

TEST_F(PeerPagesTest, TheLongestUntouchedGoFirst) {
  for (int64_t part = 0; part < 4; ++part) {
    read(part * 10 * kMiB, 10 * kMiB);
    if (part == 2)
      read(0, 10 * kMiB);
    pages.trim();
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
    pages.trim();
    EXPECT_EQ(resident(0, 64 * kMiB), 64);
    EXPECT_EQ(resident(96 * kMiB, 64 * kMiB), 64);
  }
  read(64 * kMiB, 2 * kMiB);
  pages.trim();
  EXPECT_EQ(resident(0, kBytes), 2);
}

TEST_F(PeerPagesTest, APartThatGrowsIsOne) {
  for (int64_t bytes : {2, 8, 40, 8})
    read(0, bytes * kMiB);
  pages.trim();
  EXPECT_EQ(resident(0, kBytes), 40);
  read(64 * kMiB, 32 * kMiB);
  pages.trim();
  EXPECT_EQ(resident(0, 64 * kMiB), 0);
}

} // namespace
