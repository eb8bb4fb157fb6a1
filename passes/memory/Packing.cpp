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

struct Attempt {
  Packing packing;
  /// The place in the order of the block that would have reached the limit; that of none if all
  /// are placed.
  size_t failed;
};

/// Places blocks in `order` until one would make the range reach `limit`.
Attempt place(const std::vector<Block> &blocks, const std::vector<size_t> &order, Fit fit,
              int64_t limit) {
  Attempt attempt;
  Packing &packing = attempt.packing;
  packing.offsets.assign(blocks.size(), 0);
  Occupancy taken(blocks);
  for (attempt.failed = 0; attempt.failed < order.size(); ++attempt.failed) {
    const size_t index = order[attempt.failed];
    const Block &block = blocks[index];
    const int64_t offset = fit == Fit::First ? taken.firstFit(block) : taken.bestFit(block);
    if (offset + block.bytes >= limit)
      break;
    packing.offsets[index] = offset;
    packing.bytes = std::max(packing.bytes, offset + block.bytes);
    taken.take(block, offset);
  }
  packing.steps = taken.steps();
  return attempt;
}

/// Placements one after another, and the best of them.
class Search {
public:
  explicit Search(const std::vector<Block> &blocks) : blocks(blocks), bound(maxLiveBytes(blocks)) {
    best.bytes = std::numeric_limits<int64_t>::max();
  }

  bool isGoodEnough() const { return best.bytes - bound <= bound / kGoodEnough; }
  /// The place in `order` that kept it from being the best; that of none if it is.
  size_t tryOrder(const std::vector<size_t> &order, Fit fit) {
    Attempt attempt = place(blocks, order, fit, best.bytes);
    const int64_t steps = best.steps + attempt.packing.steps;
    if (attempt.failed == order.size()) {
      best = std::move(attempt.packing);
      bestOrder = order;
      bestFit = fit;
    }
    best.steps = steps;
    return attempt.failed;
  }
  void improve(int64_t moreSteps) {
    std::vector<size_t> order = bestOrder;
    const Fit fit = bestFit;
    int64_t end = best.steps + moreSteps;
    while (!isGoodEnough() && best.steps < end) {
      const size_t failed = tryOrder(order, fit);
      --end;           // orders of few blocks take no steps
      if (failed == 0) // it alone is as large as the best range
        return;
      if (failed < order.size())
        std::rotate(order.begin(), order.begin() + failed, order.begin() + failed + 1);
    }
  }

  Packing best;

private:
  const std::vector<Block> &blocks;
  const int64_t bound;
  std::vector<size_t> bestOrder;
  Fit bestFit = Fit::First;
};

} // namespace

Packing pack(const std::vector<Block> &blocks, int64_t searchSteps) {
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

  Search search(blocks);
  std::vector<size_t> order(blocks.size());
  for (const Less &less : orders) {
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), less);
    for (Fit fit : {Fit::First, Fit::Best}) {
      search.tryOrder(order, fit);
      if (search.isGoodEnough())
        return std::move(search.best);
    }
  }
  search.improve(searchSteps);
  return std::move(search.best);
}

} // namespace deepshard
