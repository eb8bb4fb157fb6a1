//===- Packing.cpp - offsets for blocks with lifetimes ----------------------------------------===//

#include "passes/memory/Packing.h"

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

enum class Fit { First, Best };

/// Places blocks in `order`; gives up (bytes = max) once the range reaches `limit`.
Packing place(const std::vector<Block> &blocks, const std::vector<size_t> &order, Fit fit,
              int64_t limit) {
  Packing packing;
  packing.offsets.assign(blocks.size(), 0);
  std::vector<size_t> placed; // by offset
  placed.reserve(blocks.size());
  for (size_t index : order) {
    const Block &block = blocks[index];
    int64_t free = 0, bestOffset = -1, bestGap = std::numeric_limits<int64_t>::max();
    for (size_t other : placed) {
      const Block &taken = blocks[other];
      if (taken.end < block.begin || block.end < taken.begin)
        continue;
      int64_t gap = packing.offsets[other] - free;
      if (gap >= block.bytes && gap < bestGap) {
        bestGap = gap;
        bestOffset = free;
        if (fit == Fit::First)
          break;
      }
      free = std::max(free, packing.offsets[other] + taken.bytes);
    }
    packing.offsets[index] = bestOffset >= 0 ? bestOffset : free;
    packing.bytes = std::max(packing.bytes, packing.offsets[index] + block.bytes);
    if (packing.bytes >= limit)
      return {{}, std::numeric_limits<int64_t>::max()};
    auto behind = [&](int64_t offset, size_t other) { return offset < packing.offsets[other]; };
    placed.insert(std::upper_bound(placed.begin(), placed.end(), packing.offsets[index], behind),
                  index);
  }
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
  const std::vector<Less> orders = {
      [&](size_t a, size_t b) {
        if (longLived(a) != longLived(b))
          return longLived(a);
        return longLived(a) ? blocks[a].end > blocks[b].end : blocks[a].bytes > blocks[b].bytes;
      },
      [&](size_t a, size_t b) { return blocks[a].bytes > blocks[b].bytes; },
      [&](size_t a, size_t b) {
        return double(blocks[a].bytes) * life(a) > double(blocks[b].bytes) * life(b);
      },
      [&](size_t a, size_t b) { return life(a) > life(b); },
      [&](size_t a, size_t b) { return blocks[a].begin < blocks[b].begin; },
  };

  Packing best;
  best.bytes = std::numeric_limits<int64_t>::max();
  std::vector<size_t> order(blocks.size());
  for (const Less &less : orders) {
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), less);
    for (Fit fit : {Fit::First, Fit::Best}) {
      Packing packing = place(blocks, order, fit, best.bytes);
      if (packing.bytes < best.bytes)
        best = std::move(packing);
      if (best.bytes == bound)
        return best;
    }
  }
  return best;
}

} // namespace deepshard
