//===- TimeTree.h - a segment tree over times -------------------------------------------------===//
//
// A complete binary tree over the times 0 to n - 1 (rounded up to a power of two): a leaf is a
// time, an inner node the range of its leaves. A range of times is the disjoint union of at most
// 2 log n nodes, its *parts*: the largest nodes that lie in it. A node above a part, and only such
// a node, has times in the range and others outside it.
//
// Nodes are numbered from 1, the root; those below node v are 2 v and 2 v + 1.
//
// Source: Bentley, "Solutions to Klee's rectangle problems" (Carnegie-Mellon University, 1977).
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_MEMORY_TIMETREE_H
#define DEEPSHARD_PASSES_MEMORY_TIMETREE_H

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace deepshard {

class TimeTree {
public:
  explicit TimeTree(int64_t times)
      : numLeaves(std::bit_ceil(static_cast<size_t>(std::max<int64_t>(times, 1)))) {}

  /// Node numbers are below this.
  size_t size() const { return 2 * numLeaves; }
  bool isLeaf(size_t node) const { return node >= numLeaves; }
  size_t leafOf(int64_t time) const { return numLeaves + static_cast<size_t>(time); }
  int64_t timeOf(size_t leaf) const { return static_cast<int64_t>(leaf - numLeaves); }

  /// Calls `visit` with each part of the times `begin` to `end`, both included.
  template <typename Visit> void forParts(int64_t begin, int64_t end, const Visit &visit) const {
    for (size_t low = leafOf(begin), high = leafOf(end) + 1; low < high; low /= 2, high /= 2) {
      if (low % 2 == 1)
        visit(low++);
      if (high % 2 == 1)
        visit(--high);
    }
  }

  /// Calls `visit` with each node above a part of `begin` to `end`, once, those below first.
  template <typename Visit> void forAbove(int64_t begin, int64_t end, const Visit &visit) const {
    const size_t first = leafOf(begin), last = leafOf(end);
    size_t low = first, high = last;
    for (int level = 0; low > 0; low /= 2, high /= 2, ++level) {
      // The leaves of a node of this level are 2^level in a row.
      if (low << level < first || ((low + 1) << level) - 1 > last)
        visit(low);
      if (high != low && ((high + 1) << level) - 1 > last)
        visit(high);
    }
  }

private:
  size_t numLeaves;
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_MEMORY_TIMETREE_H
