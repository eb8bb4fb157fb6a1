//===- PackingTest.cpp - packing against its definition ---------------------------------------===//

#include "passes/memory/Packing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

using namespace deepshard;

namespace {

bool together(const Block &a, const Block &b) { return a.begin <= b.end && b.begin <= a.end; }

int64_t liveBytesByScan(const std::vector<Block> &blocks) {
  int64_t most = 0;
  for (const Block &at : blocks) {
    int64_t live = 0;
    for (const Block &block : blocks)
      if (block.begin <= at.begin && at.begin <= block.end)
        live += block.bytes;
    most = std::max(most, live);
  }
  return most;
}

void expectSound(const std::vector<Block> &blocks, const Packing &packing) {
  ASSERT_EQ(packing.offsets.size(), blocks.size());
  for (size_t i = 0; i < blocks.size(); ++i) {
    ASSERT_GE(packing.offsets[i], 0);
    ASSERT_LE(packing.offsets[i] + blocks[i].bytes, packing.bytes);
    for (size_t j = 0; j < i; ++j) {
      bool apart = packing.offsets[i] + blocks[i].bytes <= packing.offsets[j] ||
                   packing.offsets[j] + blocks[j].bytes <= packing.offsets[i];
      ASSERT_TRUE(apart || !together(blocks[i], blocks[j]))
          << "blocks " << i << " and " << j << " overlap";
    }
  }
}

TEST(Packing, NothingToPack) {
  Packing packing = pack({});
  EXPECT_EQ(packing.bytes, 0);
}

TEST(Packing, RandomBlocksNeverOverlap) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<Block> blocks(1 + random() % 60);
    for (Block &block : blocks) {
      block.begin = random() % 40;
      block.end = block.begin + random() % 20;
      block.bytes = 64 * (1 + random() % 50);
    }
    Packing packing = pack(blocks);
    expectSound(blocks, packing);
    EXPECT_EQ(maxLiveBytes(blocks), liveBytesByScan(blocks));
    EXPECT_GE(packing.bytes, maxLiveBytes(blocks));
    for (int64_t offset : packing.offsets)
      EXPECT_EQ(offset % 64, 0);
  }
}

/// Smallest range by exhaustion: every block is placed at 0 or at the end of another one, in every
/// order.
int64_t smallest(std::vector<Block> blocks) {
  int64_t best = std::numeric_limits<int64_t>::max();
  std::vector<size_t> order(blocks.size());
  for (size_t i = 0; i < order.size(); ++i)
    order[i] = i;
  do {
    std::vector<int64_t> offsets(blocks.size());
    int64_t bytes = 0;
    for (size_t n = 0; n < order.size(); ++n) {
      const Block &block = blocks[order[n]];
      int64_t offset = 0;
      for (bool moved = true; moved;) {
        moved = false;
        for (size_t m = 0; m < n; ++m) {
          const Block &other = blocks[order[m]];
          if (together(block, other) && offset < offsets[order[m]] + other.bytes &&
              offsets[order[m]] < offset + block.bytes) {
            offset = offsets[order[m]] + other.bytes;
            moved = true;
          }
        }
      }
      offsets[order[n]] = offset;
      bytes = std::max(bytes, offset + block.bytes);
    }
    best = std::min(best, bytes);
  } while (std::next_permutation(order.begin(), order.end()));
  return best;
}

TEST(Packing, CloseToTheOptimumOnSmallCases) {
  std::mt19937 random(11);
  double worst = 1, sum = 0;
  constexpr int kRounds = 200;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<Block> blocks(6);
    for (Block &block : blocks) {
      block.begin = random() % 8;
      block.end = block.begin + random() % 5;
      block.bytes = 64 * (1 + random() % 9);
    }
    double ratio = double(pack(blocks).bytes) / double(smallest(blocks));
    EXPECT_GE(ratio, 1.0);
    worst = std::max(worst, ratio);
    sum += ratio;
  }
  EXPECT_LT(worst, 1.35);
  EXPECT_LT(sum / kRounds, 1.02);
}

TEST(Packing, ForwardAndBackwardReachTheBound) {
  // Activations that live from layer i forward to layer i backward, with short-lived work space in
  // between.
  std::vector<Block> blocks;
  constexpr int kLayers = 48;
  for (int layer = 0; layer < kLayers; ++layer) {
    blocks.push_back({layer, 2 * kLayers - layer, 4096});
    blocks.push_back({layer, layer, 16384});
    blocks.push_back({2 * kLayers - layer, 2 * kLayers - layer, 12288});
  }
  Packing packing = pack(blocks);
  expectSound(blocks, packing);
  EXPECT_LE(packing.bytes, 1.02 * maxLiveBytes(blocks));
}

} // namespace
