//===- Packing.cpp - offsets for blocks with lifetimes ----------------------------------------===//

#include "passes/memory/Packing.h"

#include "passes/memory/Occupancy.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>

namespace deepshard {

int64_t maxLiveBytes(const std::vector<Block> &blocks) {
  // Bytes that appear (at begin) and vanish (after end), in time order; at one time, vanishing
  // comes first.
  std::vector<std::pair<int64_t, int64_t>> changes;
  for (const Block &block : blocks) {
    changes.push_back({block.begin, block.bytes});
    changes.push_back({block.end + 1, -block.bytes});
  }
  std::sort(changes.begin(), changes.end());
  int64_t live = 0, most = 0;
  for (auto [time, bytes] : changes)
    most = std::max(most, live += bytes);
  return most;
}

namespace {

/// The part of the bound that is not worth another order.
constexpr int64_t kGoodEnough = 10000;

enum class Fit { First, Best };

/// Places blocks in `order`; gives up (bytes = max) once the range reaches `limit`.
Packing place(const std::vector<Block> &blocks, const std::vector<size_t> &order, Fit fit,
              int64_t limit) {
  Packing packing;
  packing.offsets.assign(blocks.size(), 0);
  Occupancy taken(blocks);
  for (size_t index : order) {
    const Block &block = blocks[index];
    const int64_t offset = fit == Fit::First ? taken.firstFit(block) : taken.bestFit(block);
    packing.offsets[index] = offset;
    packing.bytes = std::max(packing.bytes, offset + block.bytes);
    if (packing.bytes >= limit) {
      packing.bytes = std::numeric_limits<int64_t>::max();
      break;
    }
    taken.take(block, offset);
  }
  packing.steps = taken.steps();
  return packing;
}

} // namespace

Packing pack(const std::vector<Block> &blocks) {
  const int64_t bound = maxLiveBytes(blocks);
  int64_t last = 0;
  for (const Block &block : blocks)
    last = std::max(last, block.end);
  auto life = [&](size_t i) { return blocks[i].end - blocks[i].begin + 1; };
  auto longLived = [&](size_t i) { return life(i) * 8 > last + 1; };
  using Less = std::function<bool(size_t, size_t)>;
  // The first one reaches the bound for most networks; the second comes close for buffers that live
  // as a stack, which ends the others early.
  const std::vector<Less> orders = {
      [&](size_t a, size_t b) { return blocks[a].bytes > blocks[b].bytes; },
      [&](size_t a, size_t b) { return blocks[a].begin < blocks[b].begin; },
      [&](size_t a, size_t b) {
        if (longLived(a) != longLived(b))
          return longLived(a);
        return longLived(a) ? blocks[a].end > blocks[b].end : blocks[a].bytes > blocks[b].bytes;
      },
      [&](size_t a, size_t b) {
        return double(blocks[a].bytes) * life(a) > double(blocks[b].bytes) * life(b);
      },
      [&](size_t a, size_t b) { return life(a) > life(b); },
  };

  Packing best;
  best.bytes = std::numeric_limits<int64_t>::max();
  int64_t steps = 0;
  std::vector<size_t> order(blocks.size());
  for (const Less &less : orders) {
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), less);
    for (Fit fit : {Fit::First, Fit::Best}) {
      Packing packing = place(blocks, order, fit, best.bytes);
      steps += packing.steps;
      if (packing.bytes < best.bytes)
        best = std::move(packing);
      best.steps = steps;
      if (best.bytes - bound <= bound / kGoodEnough)
        return best;
    }
  }
  return best;
}

} // namespace deepshard
