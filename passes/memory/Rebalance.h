//===- Rebalance.h - blocks that move from one arena to another -------------------------------===//

#ifndef DEEPSHARD_PASSES_MEMORY_REBALANCE_H
#define DEEPSHARD_PASSES_MEMORY_REBALANCE_H

#include "passes/memory/Packing.h"

#include <cstddef>

namespace deepshard {

/// Lowers the peak of live bytes of one arena without raising that of another: as long as there is
/// one, the largest block of `from` alive at its peak (the first of these) that `to` has room for
/// all its life moves there; of equal blocks the first. Returns indices into `from`, in the order
/// of the moves. Times are at least 0. O((n log t + t) log t) for n blocks and t times.
std::vector<size_t> blocksToMove(const std::vector<Block> &from, const std::vector<Block> &to);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_MEMORY_REBALANCE_H
