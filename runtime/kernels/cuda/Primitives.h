//===- Primitives.h - which primitives provider "cuda" takes ----------------------------------===//
//
// "cuda" is a provider of kernels written in CUDA C++ that libds_cuda.so brings itself. It has
// every primitive that the reference provider has but products and convolutions, over strided
// operands, and takes the same specs, except that
//
//   adamw              all operands are contiguous
//   embedding_grad     there are less than 2^31 positions and rows; it has attribute `atomic`
//   copy, reshape, transpose, broadcast, slice, pad, concat
//                      at most 8 dimensions do not continue each other
//
// It computes what the reference provider does, in the same order, to the bit, but for
// transcendental functions, which are those of CUDA's library; for `adamw`, of which f32 is
// computed in f32; and for `sum_squares`, which is summed as a tree.
//
// What it takes and which workspace that needs is decided without CUDA, so that plans are made
// where there is none.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_PRIMITIVES_H
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_PRIMITIVES_H

#include "runtime/kernels/cuda/Steps.h"

namespace deepshard::runtime::cuda {

/// Attribute of `embedding_grad`: rows are added by atomics, which is nondeterministic and needs
/// neither sort nor workspace.
inline constexpr const char *kAtomicAttribute = "atomic";

/// What the provider does for `spec`. Throws `std::invalid_argument` with the reason if it does not
/// take it.
Steps stepsOf(const KernelSpec &spec);

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_PRIMITIVES_H
