//===- PackingTest.cpp - packing against its definition ---------------------------------------===//

#include "passes/memory/Packing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <numeric>
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
  EXPECT_LT(worst, 1.1);
  EXPECT_LT(sum / kRounds, 1.001);
}

/// Greedy packing as it is defined: every block goes into a gap between those that live with it,
/// which are looked at one by one.
int64_t placedByScan(const std::vector<Block> &blocks, const std::vector<size_t> &order,
                     bool isBestFit) {
  std::vector<std::pair<int64_t, const Block *>> placed; // by offset
  int64_t bytes = 0;
  for (size_t index : order) {
    const Block &block = blocks[index];
    int64_t free = 0, offset = -1, least = std::numeric_limits<int64_t>::max();
    for (auto [at, other] : placed) {
      if (!together(block, *other))
        continue;
      const int64_t gap = at - free;
      if (gap >= block.bytes && gap < least && (isBestFit || offset < 0)) {
        least = gap;
        offset = free;
      }
      free = std::max(free, at + other->bytes);
    }
    placed.push_back({offset < 0 ? free : offset, &block});
    bytes = std::max(bytes, placed.back().first + block.bytes);
    std::sort(placed.begin(), placed.end());
  }
  return bytes;
}

/// The documented orders, each with both fits.
int64_t packedByScan(const std::vector<Block> &blocks) {
  int64_t last = 0;
  for (const Block &block : blocks)
    last = std::max(last, block.end);
  using Key = std::array<double, 2>; // ascending
  const std::function<Key(const Block &)> keys[] = {
      [&](const Block &b) {
        const bool isLong = (b.end - b.begin + 1) * 8 > last + 1;
        return isLong ? Key{0, -double(b.end)} : Key{1, -double(b.bytes)};
      },
      [](const Block &b) { return Key{-double(b.bytes), 0}; },
      [](const Block &b) { return Key{-double(b.bytes) * double(b.end - b.begin + 1), 0}; },
      [](const Block &b) { return Key{-double(b.end - b.begin + 1), 0}; },
      [](const Block &b) { return Key{double(b.begin), 0}; },
  };
  int64_t least = std::numeric_limits<int64_t>::max();
  for (const auto &key : keys) {
    std::vector<size_t> order(blocks.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return key(blocks[a]) < key(blocks[b]); });
    for (bool isBestFit : {false, true})
      least = std::min(least, placedByScan(blocks, order, isBestFit));
  }
  return least;
}

TEST(Packing, GapsAreThoseOfAScan) {
  std::mt19937 random(13);
  for (int round = 0; round < 400; ++round) {
    std::vector<Block> blocks(1 + random() % 120);
    const int64_t times = 1 + random() % 100, longest = 1 + random() % 100;
    for (Block &block : blocks) {
      block.begin = random() % times;
      block.end = block.begin + random() % longest;
      block.bytes = 64 * (1 + random() % (round % 2 ? 5 : 200));
    }
    Packing packing = pack(blocks, /*searchSteps=*/0);
    expectSound(blocks, packing);
    EXPECT_EQ(packing.bytes, packedByScan(blocks)) << "round " << round;
  }
}

/// The search never makes a range larger, and closes more than half of the way to the bound that
/// the greedy orders leave.
TEST(Packing, TheSearchComesNearerToTheBound) {
  std::mt19937 random(19);
  double greedy = 0, found = 0;
  int cases = 0;
  for (int round = 0; round < 60; ++round) {
    std::vector<Block> blocks(50 + random() % 250);
    const int64_t times = 50 + random() % 300;
    for (Block &block : blocks) {
      block.begin = random() % times;
      block.end = block.begin + random() % (random() % 4 ? 10 : times);
      block.bytes = 64 * (1 + random() % 200);
    }
    const int64_t bound = maxLiveBytes(blocks), without = pack(blocks, 0).bytes;
    Packing packing = pack(blocks);
    expectSound(blocks, packing);
    EXPECT_LE(packing.bytes, without);
    if (without == bound)
      continue;
    ++cases;
    greedy += double(without) / double(bound) - 1;
    found += double(packing.bytes) / double(bound) - 1;
  }
  RecordProperty("above_bound", std::to_string(greedy) + ", " + std::to_string(found));
  ASSERT_GT(cases, 20);
  EXPECT_LT(found, 0.5 * greedy);
}

/// What a network of equal layers asks for: activations of several sizes saved from the forward for
/// the backward of their layer, work space, and gradients that live to the end.
std::vector<Block> networkOf(int64_t layers) {
  constexpr int64_t kOps = 20; // of a layer, forward; as many backward
  std::mt19937 random(17);
  std::vector<Block> layer; // begins count from the layer's forward, ends from its backward
  for (int64_t op = 0; op < kOps; ++op)
    if (op % 3 == 0)
      layer.push_back({op, kOps - 1 - op, 64 * int64_t(1 + random() % 64)});
  std::vector<int64_t> shortLived;
  for (int64_t op = 0; op < 2 * kOps; ++op)
    shortLived.push_back(64 * int64_t(1 + random() % 256));
  std::vector<Block> blocks;
  for (int64_t at = 0; at < layers; ++at) {
    const int64_t forward = at * kOps, backward = (2 * layers - 1 - at) * kOps;
    for (const Block &block : layer)
      blocks.push_back({forward + block.begin, backward + block.end, block.bytes});
    for (int64_t op = 0; op < kOps; ++op) {
      blocks.push_back({forward + op, forward + op + op % 3, shortLived[op]});
      blocks.push_back({backward + op, backward + op + op % 3, shortLived[kOps + op]});
    }
    blocks.push_back({backward + kOps / 2, 2 * layers * kOps, 4096});
  }
  return blocks;
}

/// Looking at all blocks that live together would take ten times the steps.
TEST(Packing, ABlockOfManyLayersTakesHardlyMoreStepsThanOneOfFew) {
  auto stepsPerBlock = [](int64_t layers) {
    const std::vector<Block> blocks = networkOf(layers);
    const Packing packing = pack(blocks);
    expectSound(blocks, packing);
    EXPECT_LE(packing.bytes, 1.05 * maxLiveBytes(blocks));
    return double(packing.steps) / double(blocks.size());
  };
  const double few = stepsPerBlock(12), many = stepsPerBlock(126);
  RecordProperty("steps", std::to_string(few) + ", " + std::to_string(many));
  EXPECT_LE(many, 2.5 * few);
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
