//===- Conv.h - which convolutions cuDNN is asked for -----------------------------------------===//
//
// Decided without cuDNN, so that plans are made where there is none.
//
// A gradient of a weight in f32 from bf16 or f16 is one that cuDNN has no kernel for. It is that of
// f32 copies of the operands, which TF32 holds exactly: products are exact, and sums are in f32, as
// they are where the result is narrow.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_CONV_H
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_CONV_H

#include "runtime/kernels/Convolution.h"

namespace deepshard::runtime::cuda {

/// Attribute of a convCall: the elements of its f32 operands are numbers of TF32.
inline constexpr const char *kTf32Values = "tf32_values";

bool isConv(const KernelSpec &spec);

/// A convolution, or a gradient of one, of f32, bf16 or f16 that cuDNN takes: contiguous operands
/// with at least one element. Throws `std::invalid_argument` with the reason otherwise.
Convolution convOf(const KernelSpec &spec);

/// What a plan gives it as workspace, in bytes, and of these what f32 copies of the operands take,
/// one after another at the beginning.
struct ConvWorkspace {
  uint64_t bytes;
  std::vector<uint64_t> copies; ///< of each operand; none if it is not widened
  uint64_t copiedBytes() const;
};

/// The library gets room for its own copies of the operands, channels last and in eights, as its
/// tensor cores want them, and what a product gets for sums of parts. It has kernels that need none
/// of it (test/unit/cuda/CudnnPlanTest.cpp asks for some), and takes the fastest that fits.
ConvWorkspace convWorkspace(const KernelSpec &spec);

/// What the library is asked for: `spec`, whose `workspace_bytes` are as planned, or that of the
/// copies.
KernelSpec convCall(const KernelSpec &spec);

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_CONV_H
