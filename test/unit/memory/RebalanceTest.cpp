//===- RebalanceTest.cpp - moved blocks against a search through all of them ------------------===//

#include "passes/memory/Rebalance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>

using namespace deepshard;

namespace {

bool livesAt(const Block &block, int64_t time) { return block.begin <= time && time <= block.end; }

int64_t liveAt(const std::vector<Block> &blocks, int64_t time) {
  int64_t bytes = 0;
  for (const Block &block : blocks)
    bytes += livesAt(block, time) ? block.bytes : 0;
  return bytes;
}

/// The first time at which most is live.
int64_t peakOf(const std::vector<Block> &blocks, int64_t times) {
  int64_t peak = 0;
  for (int64_t time = 1; time < times; ++time)
    if (liveAt(blocks, time) > liveAt(blocks, peak))
      peak = time;
  return peak;
}

std::vector<size_t> movedByScan(std::vector<Block> from, std::vector<Block> to, int64_t times) {
  const int64_t room = maxLiveBytes(to);
  std::vector<size_t> moved;
  while (true) {
    const int64_t peak = peakOf(from, times);
    std::optional<size_t> best;
    for (size_t i = 0; i < from.size(); ++i) {
      std::vector<Block> with(to);
      with.push_back(from[i]);
      if (from[i].bytes > (best ? from[*best].bytes : 0) && livesAt(from[i], peak) &&
          maxLiveBytes(with) <= room)
        best = i;
    }
    if (!best)
      return moved;
    to.push_back(from[*best]);
    from[*best].bytes = 0; // its place in the list stays
    moved.push_back(*best);
  }
}

std::vector<Block> randomBlocks(std::mt19937 &random, int64_t times, size_t most) {
  std::vector<Block> blocks(random() % (most + 1));
  for (Block &block : blocks) {
    block.begin = random() % times;
    block.end = std::min<int64_t>(times - 1, block.begin + random() % 12);
    block.bytes = 64 * (1 + random() % 6);
  }
  return blocks;
}

TEST(Rebalance, MovesWhatASearchThroughAllFinds) {
  std::mt19937 random(5);
  size_t moves = 0;
  for (int round = 0; round < 500; ++round) {
    const int64_t times = 1 + random() % 30;
    const std::vector<Block> from = randomBlocks(random, times, 25),
                             to = randomBlocks(random, times, 25);
    const std::vector<size_t> moved = blocksToMove(from, to);
    EXPECT_EQ(moved, movedByScan(from, to, times)) << "round " << round;
    moves += moved.size();
  }
  EXPECT_GT(moves, 500U);
}

TEST(Rebalance, NothingMovesIntoAnEmptyArena) {
  EXPECT_TRUE(blocksToMove({{0, 3, 64}}, {}).empty());
  EXPECT_TRUE(blocksToMove({}, {}).empty());
}

} // namespace
