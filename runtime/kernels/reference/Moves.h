//===- Moves.h - layout primitives as copies of windows ---------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_REFERENCE_MOVES_H
#define DEEPSHARD_RUNTIME_KERNELS_REFERENCE_MOVES_H

#include "runtime/kernels/Kernel.h"

#include <vector>

namespace deepshard::runtime::reference {

/// The elements of `from` go to those of `to`, in row-major order of each. Both are windows, the
/// latter of the result. Their shapes are equal but in a reshape of which neither side is a view of
/// the other.
struct Move {
  TensorDesc to;
  int64_t toOffset = 0; // in elements
  TensorDesc from;
  int64_t fromOffset = 0;
  int input = -1; // the operand that `from` is a window of; -1: of `constant`
  std::vector<char> constant = {};
};

/// What a kernel of Layout.cpp (copy, reshape, transpose, broadcast, slice, pad, concat, iota,
/// fill) does, step by step. Throws `std::invalid_argument` with the reason if the spec is not
/// sound, or none of theirs.
std::vector<Move> movesOf(const KernelSpec &spec);

} // namespace deepshard::runtime::reference

#endif // DEEPSHARD_RUNTIME_KERNELS_REFERENCE_MOVES_H
