//===- Packing.h - offsets for blocks with lifetimes ------------------------------------------===//
//
// Offline dynamic storage allocation: blocks with known lifetimes and sizes get offsets so that no
// two blocks that live at the same time overlap, in an address range as small as possible. NP-hard;
// the sum of sizes live at one time is a lower bound.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_MEMORY_PACKING_H
#define DEEPSHARD_PASSES_MEMORY_PACKING_H

#include <cstdint>
#include <vector>

namespace deepshard {

/// Lives from time `begin` to time `end`, both included. `bytes` must be a multiple of the caller's
/// alignment; then all offsets are.
struct Block {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t bytes = 0;
};

struct Packing {
  std::vector<int64_t> offsets; // one per block
  int64_t bytes = 0;            // of the whole range
  int64_t steps = 0;            // ranges of taken bytes that the search looked at
};

/// The largest sum of bytes that live at one time. O(n log n).
int64_t maxLiveBytes(const std::vector<Block> &blocks);

/// Steps that the search for a better order may take: tens of milliseconds.
constexpr int64_t kSearchSteps = int64_t{1} << 22;

/// Tries five greedy orders (by size; by begin; long-lived blocks by end, then the others by size;
/// by area; by lifetime), each with first fit and best fit among the gaps left by blocks placed
/// before, and keeps the smallest; stops early within 1/10000 of the lower bound. Per order
/// O(n log n) and the steps, O(n^2) in the worst case; those of a block hardly grow with the layers
/// of a network (Occupancy.h). (Greedy orders: Pisarchyk and Lee, arXiv 2001.03288.)
/// Then, for `searchSteps`, the block that keeps the best order from a smaller range moves to its
/// front, and all are placed again. (Squeaky wheel: Joslin and Clements, JAIR 10, 1999.)
Packing pack(const std::vector<Block> &blocks, int64_t searchSteps = kSearchSteps);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_MEMORY_PACKING_H
