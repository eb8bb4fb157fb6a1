//===- PositionSort.cpp - positions in the order of the rows that they name -------------------===//

#include "runtime/kernels/cuda/PositionSort.h"

#include "runtime/kernels/Require.h"
#include "runtime/kernels/cuda/Parameters.h"

#include <fmt/format.h>

#include <bit>

namespace deepshard::runtime::cuda {

PositionSort PositionSort::of(int64_t positions, int64_t rows) {
  constexpr int64_t kMost = INT32_MAX - kSortTile; // indices of threads are 32-bit integers
  require(positions <= kMost && rows <= kMost,
          fmt::format("{} positions and {} rows, at most {} of each are sorted", positions, rows,
                      kMost));
  PositionSort sort = {};
  sort.positions = positions;
  sort.rows = rows;
  auto bits = static_cast<int>(std::bit_width(static_cast<uint64_t>(rows))); // `rows` too is a key
  sort.passes = (bits + kMostDigitBits - 1) / kMostDigitBits;
  sort.digitBits = sort.passes > 0 ? (bits + sort.passes - 1) / sort.passes : 0;
  sort.tiles = (positions + kSortTile - 1) / kSortTile;
  auto place = [&](int64_t count) {
    size_t offset = sort.bytes;
    sort.bytes += (static_cast<size_t>(count) * sizeof(uint32_t) + 63) / 64 * 64;
    return offset;
  };
  for (int side = 0; side < 2; ++side) {
    bool isUsed = side == 0 || sort.passes > 1;
    sort.keys[side] = place(isUsed ? positions : 0);
    sort.values[side] = place(isUsed ? positions : 0);
  }
  sort.counts = place(sort.tiles << sort.digitBits);
  sort.starts = place(rows + 1);
  return sort;
}

} // namespace deepshard::runtime::cuda
