//===- Reduction.h - the dimensions and the order of a reduction ------------------------------===//
//
// The dimensions fall into those that are kept and those that are reduced. Where a reduced one is
// innermost in memory, each result is folded along rows into a fixed number of lanes, element i of
// a row into lane i mod kFoldLanes, and the lanes in order; where a kept one is, a block of
// neighbouring results is folded together, row after row, each in one go. Few results of very many
// elements are folded in chunks of fixed length whose results are folded in order. So the order
// never depends on the threads.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_REFERENCE_REDUCTION_H
#define DEEPSHARD_RUNTIME_KERNELS_REFERENCE_REDUCTION_H

#include "runtime/kernels/reference/LoopNest.h"

namespace deepshard::runtime::reference {

constexpr int kFoldLanes = 16;
constexpr int64_t kFoldChunk = 65536; // elements folded at a time

/// The two groups of dimensions as nests: kept over (result, operand), reduced over (operand).
struct Reduction {
  LoopNest kept;
  LoopNest reduced;

  /// Throws `std::invalid_argument` unless attributes `dims` and `keep_dims` lead from the operand
  /// to the result.
  static Reduction of(const KernelSpec &spec);

  /// The chunks that each result is folded in; 1: in one go. With more of them `kept.count` x
  /// `chunks()` numbers of 8 bytes are the kernel's workspace.
  int64_t chunks() const;
  /// Whether neighbouring results are folded together, where there are no chunks.
  bool foldsBlocks() const;

  /// Adds the offsets of kept element `index` to `out` and `in`.
  void advance(int64_t index, char *&out, char *&in) const {
    for (auto dim = static_cast<int>(kept.shape.size()) - 1; dim >= 0; --dim) {
      const int64_t at = index % kept.shape[dim];
      index /= kept.shape[dim];
      out += at * kept.strides[dim][0];
      in += at * kept.strides[dim][1];
    }
  }
};

} // namespace deepshard::runtime::reference

#endif // DEEPSHARD_RUNTIME_KERNELS_REFERENCE_REDUCTION_H
