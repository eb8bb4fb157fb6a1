//===- Rebalance.cpp - blocks that move from one arena to another -----------------------------===//
//
// State: the live bytes of both arenas over time, and the blocks that may still move. Invariant:
// moves only fill the other arena, so a block that it has no room for once never moves.
//
//===------------------------------------------------------------------------------------------===//

#include "passes/memory/Rebalance.h"

#include "passes/memory/TimeTree.h"

#include <numeric>
#include <optional>

namespace deepshard {

namespace {

/// The bytes of live blocks at every time: of each node the most of its times, without what was
/// added above it.
class LiveBytes {
public:
  explicit LiveBytes(int64_t times) : tree(times), added(tree.size(), 0), highest(tree.size(), 0) {}

  void add(const Block &block) { change(block, block.bytes); }
  void remove(const Block &block) { change(block, -block.bytes); }

  int64_t most() const { return highest[1]; }
  int64_t most(const Block &block) const {
    int64_t bytes = 0;
    tree.forParts(block.begin, block.end, [&](size_t part) {
      int64_t here = highest[part];
      for (size_t above = part / 2; above > 0; above /= 2)
        here += added[above];
      bytes = std::max(bytes, here);
    });
    return bytes;
  }
  /// The first time at which the most bytes are live.
  int64_t peak() const {
    size_t node = 1;
    while (!tree.isLeaf(node))
      node = highest[2 * node] >= highest[2 * node + 1] ? 2 * node : 2 * node + 1;
    return tree.timeOf(node);
  }

private:
  void change(const Block &block, int64_t bytes) {
    tree.forParts(block.begin, block.end, [&](size_t part) {
      added[part] += bytes;
      highest[part] += bytes;
    });
    tree.forAbove(block.begin, block.end, [&](size_t node) {
      highest[node] = added[node] + std::max(highest[2 * node], highest[2 * node + 1]);
    });
  }

  TimeTree tree;
  std::vector<int64_t> added, highest; // by node
};

/// Blocks by size, to be found by a time at which they live: each is in the lists of its parts.
class Candidates {
public:
  Candidates(const std::vector<Block> &blocks, int64_t times)
      : tree(times), lists(tree.size()), ranks(blocks.size()), order(blocks.size()),
        isOut(blocks.size(), false) {
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return blocks[a].bytes > blocks[b].bytes; });
    for (size_t rank = order.size(); rank-- > 0;) {
      ranks[order[rank]] = rank;
      const Block &block = blocks[order[rank]];
      tree.forParts(block.begin, block.end, [&](size_t part) { lists[part].push_back(rank); });
    }
  }

  void drop(size_t block) { isOut[ranks[block]] = true; }

  /// The largest one that lives at a time.
  std::optional<size_t> largestAt(int64_t time) {
    size_t best = order.size();
    for (size_t node = tree.leafOf(time); node > 0; node /= 2) {
      std::vector<size_t> &list = lists[node];
      while (!list.empty() && isOut[list.back()])
        list.pop_back();
      if (!list.empty())
        best = std::min(best, list.back());
    }
    return best < order.size() ? std::optional(order[best]) : std::nullopt;
  }

private:
  TimeTree tree;
  std::vector<std::vector<size_t>> lists; // by node: ranks, the largest block's last
  std::vector<size_t> ranks, order;       // of a block; of a rank the block
  std::vector<bool> isOut;                // by rank
};

} // namespace

std::vector<size_t> blocksToMove(const std::vector<Block> &from, const std::vector<Block> &to) {
  int64_t times = 0;
  for (const std::vector<Block> *blocks : {&from, &to})
    for (const Block &block : *blocks)
      times = std::max(times, block.end + 1);
  LiveBytes live(times), taken(times);
  for (const Block &block : from)
    live.add(block);
  for (const Block &block : to)
    taken.add(block);
  Candidates candidates(from, times);
  const int64_t room = taken.most();
  std::vector<size_t> moved;
  while (std::optional<size_t> next = candidates.largestAt(live.peak())) {
    const Block &block = from[*next];
    candidates.drop(*next);
    if (taken.most(block) + block.bytes > room)
      continue;
    live.remove(block);
    taken.add(block);
    moved.push_back(*next);
  }
  return moved;
}

} // namespace deepshard
