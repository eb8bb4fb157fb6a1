//===- Occupancy.h - which bytes are taken at which times -------------------------------------===//
//
// Answers where a block fits between blocks that were placed before, without looking at each.
//
// State. Time is cut into slices of equally many begins and ends, under a segment tree
// (TimeTree.h):
//
//   through   of a slice: the ranges of bytes of the blocks that live all its times
//   partial   of a slice: the other blocks that have times in it, a few dozen, by offset
//   within    of a node of the tree: the ranges of all blocks that have a part at it or below
//
//   slices       0    1    2    3    4    5
//   block          |------------------|        asks; what is in its way is
//                through+partial of 0 and 4, within of the parts of 1 to 3
//
// A block that lives through a part of 1 to 3 but has its own part above that lives through 0 or 4
// as well, so nothing is missed.
//
// Ranges that touch melt into one: where many blocks that live together lie one behind the other,
// which is what packing is after, a set has few ranges, however many blocks there are.
//
// Cost. A short-lived block reads one or two slices, a long-lived one O(log n) sets; it writes to
// all slices that it lives through. The ranges below where a block fits (of all gaps, for the best
// fit) are passed once, from all sets together in order.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_MEMORY_OCCUPANCY_H
#define DEEPSHARD_PASSES_MEMORY_OCCUPANCY_H

#include "passes/memory/Packing.h"
#include "passes/memory/TimeTree.h"

#include <utility>

namespace deepshard {

class Occupancy {
public:
  /// Of an empty address range. `blocks` are all that will be asked about or placed.
  explicit Occupancy(const std::vector<Block> &blocks);

  /// The lowest offset at which `block` overlaps none that lives with it.
  int64_t firstFit(const Block &block);
  /// The lowest offset in the smallest gap that holds `block`; if none does, behind all gaps.
  int64_t bestFit(const Block &block);
  void take(const Block &block, int64_t offset);

  /// How many ranges and blocks were looked at so far: what it took.
  int64_t steps() const { return numSteps; }

private:
  struct Range {
    int64_t begin, end; // of bytes; the end is not included
  };
  using Ranges = std::vector<Range>; // ascending, apart from each other
  struct Placed {
    Range range;
    int64_t begin, end; // times, both included
  };
  struct Slice {
    Ranges through;
    std::vector<Placed> partial;
  };
  struct Cursor {
    const Range *at, *end;
  };

  static bool isBehind(const Cursor &a, const Cursor &b) { return a.at->begin > b.at->begin; }
  int64_t sliceOf(int64_t time) const;
  void gather(const Block &block);
  void gatherSlice(const Block &block, int64_t slice, Ranges &partial);
  void addCursor(const Ranges &ranges);
  void skip(Cursor &cursor, int64_t offset);
  int64_t nextFree(int64_t offset, int64_t bytes);
  void add(Ranges &ranges, Range range);

  std::vector<int64_t> begins; // of slices, ascending
  std::vector<Slice> slices;
  TimeTree tree; // over slices
  std::vector<Ranges> within;
  // Of the block at hand: what is in its way in the slices where it begins and ends, and a heap of
  // where to go on in each set.
  Ranges first, last;
  std::vector<Cursor> cursors;
  int64_t numSteps = 0;
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_MEMORY_OCCUPANCY_H
