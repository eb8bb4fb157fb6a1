//===- Product.h - matmul and linear as products of cuBLASLt ----------------------------------===//
//
// Which products the library is asked for is decided without it, so that plans are made where
// there is none. To the library every matrix is column-major. Our row-major result [m, n] is its
// result D, n x m, and D = A B with A, n x k, from our right operand and B, k x m, from our left
// one.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_PRODUCT_H
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_PRODUCT_H

#include "runtime/kernels/Contraction.h"
#include "runtime/kernels/Kernel.h"

#include <optional>
#include <vector>

namespace deepshard::runtime::cuda {

/// What the library is told of the address of every operand, in bytes.
constexpr uint32_t kProductAlignment = 16;

/// What a plan gives a product as workspace: NVIDIA's recommendation for Hopper and later
/// (cuBLAS documentation, cublasSetWorkspace), which no smaller GPU exceeds.
constexpr int64_t kProductWorkspace = int64_t{32} << 20;

/// A matrix as the library stores it, column-major; `leading` from one column to the next.
struct Matrix {
  int64_t rows, columns, leading;
  bool isTransposed; // it stands for the transposed of what is stored
};

/// What is computed, in the library's terms.
struct Product {
  Matrix a, b, d;
  int64_t batch = 1, aStride = 0, bStride = 0, dStride = 0; // in elements
  std::vector<ContractionDim> outer;                        // batch dimensions that are a call each
  DType operandType, resultType;
  std::optional<DType> bias;
  bool accumulates = false;
  unsigned aInput = 1, bInput = 0; // which of ours they are

  /// How many products each number sums.
  int64_t contracted() const { return a.isTransposed ? a.rows : a.columns; }
};

/// The product of a `matmul` or `linear`. Throws `std::invalid_argument` with the reason if it is
/// none.
Product productOf(const KernelSpec &spec);

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_PRODUCT_H
