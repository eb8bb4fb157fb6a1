//===- PositionSort.h - positions in the order of the rows that they name ---------------------===//
//
// The gradient of an embedding adds to each row of the table the rows of its positions, in
// ascending order. So positions are sorted by row, stably: a radix sort, least digit first, whose
// passes take tiles of positions to where their digits go. A pass is
//
//   count  how often each digit occurs in each tile
//   place  a position goes behind all of smaller digits, those of its digit in earlier tiles, and
//          those of its digit before it in its tile
//
// A position whose index is none of the rows is sorted behind all others, as row `rows`. Behind the
// passes the first position of each row is looked up. Nothing depends on the order in which
// threads run; O(positions * passes + rows * log(positions)).
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_POSITIONSORT_H
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_POSITIONSORT_H

#include <cstddef>
#include <cstdint>

namespace deepshard::runtime::cuda {

/// How positions are sorted, and where in the workspace: byte offsets of arrays of 32-bit integers.
struct PositionSort {
  int64_t positions, rows;
  int passes, digitBits;
  int64_t tiles;
  size_t keys[2], values[2]; // rows and positions; a pass reads one of each and writes the other
  size_t counts;             // [tiles][1 << digitBits]
  size_t starts;             // [rows + 1]
  size_t bytes;              // of the whole workspace

  /// Throws `std::invalid_argument` if there are 2^31 positions or rows, or more.
  static PositionSort of(int64_t positions, int64_t rows);
};

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_POSITIONSORT_H
