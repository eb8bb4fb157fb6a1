//===- Contraction.h - the dimensions of a matmul ---------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CONTRACTION_H
#define DEEPSHARD_RUNTIME_KERNELS_CONTRACTION_H

#include "runtime/kernels/Kernel.h"

namespace deepshard::runtime {

/// A dimension of the loop nest of a contraction, with its element strides in the operands; 0 where
/// an operand does not have it.
struct ContractionDim {
  int64_t size;
  int64_t lhs, rhs, out;
};

/// result[batch, m, n] = sum over k of lhs[batch, m, k] * rhs[batch, n, k], where each of the four
/// stands for a list of dimensions.
struct Contraction {
  std::vector<ContractionDim> batch, m, n, k;

  /// Reads a `matmul`: attributes lhs_batch, rhs_batch, lhs_contract, rhs_contract (dimension
  /// lists, paired in order); the result has the batch dimensions in the order of the lhs' list,
  /// then the other dimensions of the lhs, then those of the rhs. Throws `std::invalid_argument` if
  /// shapes do not fit. Dimensions of size 1 are dropped, and neighbours in a list that continue
  /// each other in every operand are merged.
  static Contraction of(const KernelSpec &spec);
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_KERNELS_CONTRACTION_H
