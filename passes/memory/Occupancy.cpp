//===- Occupancy.cpp - which bytes are taken at which times -----------------------------------===//

#include "passes/memory/Occupancy.h"

#include <limits>

namespace deepshard {

/// Begins and ends of blocks in a slice: the fewer, the more slices are written to by a block that
/// lives long.
static constexpr size_t kChanges = 128;

static std::vector<int64_t> beginsOfSlices(const std::vector<Block> &blocks) {
  std::vector<int64_t> changes, slices;
  changes.reserve(2 * blocks.size());
  for (const Block &block : blocks) {
    changes.push_back(block.begin);
    changes.push_back(block.end + 1);
  }
  std::sort(changes.begin(), changes.end());
  for (size_t i = 0; i < changes.size(); i += kChanges)
    if (slices.empty() || changes[i] != slices.back())
      slices.push_back(changes[i]);
  return slices;
}

Occupancy::Occupancy(const std::vector<Block> &blocks)
    : begins(beginsOfSlices(blocks)), slices(begins.size()),
      tree(static_cast<int64_t>(begins.size())), within(tree.size()) {}

int64_t Occupancy::sliceOf(int64_t time) const {
  return std::upper_bound(begins.begin(), begins.end(), time) - begins.begin() - 1;
}

//===------------------------------------------------------------------------------------------===//
// Finding room
//===------------------------------------------------------------------------------------------===//

void Occupancy::addCursor(const Ranges &ranges) {
  if (!ranges.empty())
    cursors.push_back({ranges.data(), ranges.data() + ranges.size()});
}

void Occupancy::gatherSlice(const Block &block, int64_t slice, Ranges &partial) {
  addCursor(slices[slice].through);
  partial.clear();
  for (const Placed &placed : slices[slice].partial)
    if (placed.begin <= block.end && block.begin <= placed.end) {
      if (!partial.empty() && placed.range.begin <= partial.back().end)
        partial.back().end = std::max(partial.back().end, placed.range.end);
      else
        partial.push_back(placed.range);
    }
  numSteps += static_cast<int64_t>(slices[slice].partial.size());
  addCursor(partial);
}

/// Puts cursors in front of all that is in the way of `block`.
void Occupancy::gather(const Block &block) {
  cursors.clear();
  const int64_t from = sliceOf(block.begin), to = sliceOf(block.end);
  gatherSlice(block, from, first);
  if (to > from)
    gatherSlice(block, to, last);
  if (to > from + 1)
    tree.forParts(from + 1, to - 1, [&](size_t node) { addCursor(within[node]); });
  std::make_heap(cursors.begin(), cursors.end(), isBehind);
  numSteps += static_cast<int64_t>(cursors.size());
}

/// Moves a cursor to its first range that ends behind `offset`, in steps that double.
void Occupancy::skip(Cursor &cursor, int64_t offset) {
  ptrdiff_t step = 1;
  while (cursor.end - cursor.at > step && cursor.at[step].end <= offset) {
    cursor.at += step;
    step *= 2;
    ++numSteps;
  }
  const Range *until = cursor.at + std::min(step, cursor.end - cursor.at);
  cursor.at = std::partition_point(cursor.at, until,
                                   [&](const Range &range) { return range.end <= offset; });
  ++numSteps;
}

/// The first offset from `offset` on with `bytes` free behind it: the end of a range, if it is not
/// `offset`. Passes all ranges that begin before these bytes end.
int64_t Occupancy::nextFree(int64_t offset, int64_t bytes) {
  while (!cursors.empty() && cursors.front().at->begin < offset + bytes) {
    offset = std::max(offset, cursors.front().at->end);
    std::pop_heap(cursors.begin(), cursors.end(), isBehind);
    skip(cursors.back(), offset);
    if (cursors.back().at == cursors.back().end)
      cursors.pop_back();
    else
      std::push_heap(cursors.begin(), cursors.end(), isBehind);
  }
  return offset;
}

int64_t Occupancy::firstFit(const Block &block) {
  gather(block);
  return nextFree(0, block.bytes);
}

int64_t Occupancy::bestFit(const Block &block) {
  gather(block);
  int64_t best = -1, least = std::numeric_limits<int64_t>::max();
  int64_t offset = nextFree(0, block.bytes);
  for (; !cursors.empty(); offset = nextFree(offset, block.bytes)) {
    const int64_t end = cursors.front().at->begin;
    if (end - offset < least) {
      least = end - offset;
      best = offset;
    }
    offset = end;
  }
  return best < 0 ? offset : best;
}

//===------------------------------------------------------------------------------------------===//
// Placing
//===------------------------------------------------------------------------------------------===//

/// Adds a range to a set, melting it with those that it touches.
void Occupancy::add(Ranges &ranges, Range range) {
  auto from = std::lower_bound(ranges.begin(), ranges.end(), range.begin,
                               [](const Range &r, int64_t begin) { return r.end < begin; });
  auto to = from;
  for (; to != ranges.end() && to->begin <= range.end; ++to) {
    range = {std::min(range.begin, to->begin), std::max(range.end, to->end)};
    ++numSteps;
  }
  ++numSteps;
  if (from == to) {
    ranges.insert(from, range);
    return;
  }
  *from = range;
  ranges.erase(from + 1, to);
}

void Occupancy::take(const Block &block, int64_t offset) {
  const Range range{offset, offset + block.bytes};
  const int64_t from = sliceOf(block.begin), to = sliceOf(block.end);
  auto addPartial = [&](int64_t slice) {
    std::vector<Placed> &partial = slices[slice].partial;
    partial.insert(
        std::upper_bound(partial.begin(), partial.end(), offset,
                         [](int64_t at, const Placed &other) { return at < other.range.begin; }),
        {range, block.begin, block.end});
  };
  addPartial(from);
  if (to > from)
    addPartial(to);
  for (int64_t slice = from + 1; slice < to; ++slice)
    add(slices[slice].through, range);
  tree.forParts(from, to, [&](size_t node) { add(within[node], range); });
  tree.forAbove(from, to, [&](size_t node) { add(within[node], range); });
}

} // namespace deepshard
