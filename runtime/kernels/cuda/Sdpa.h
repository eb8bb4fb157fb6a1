//===- Sdpa.h - which attention cuDNN is asked for --------------------------------------------===//
//
// Decided without cuDNN, so that plans are made where there is none. cuDNN's "stats" are our lse:
// the natural logarithm of the sum of the exponentials of the scaled scores, in f32; [b, h, s, 1]
// is [b, h, s].
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_SDPA_H
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_SDPA_H

#include "runtime/kernels/Attention.h"

namespace deepshard::runtime::cuda {

/// What cuDNN is told of the address of every operand of a graph, in bytes.
constexpr int64_t kGraphAlignment = 16;

/// Attention of bf16 or f16 that cuDNN's kernels take on every GPU from sm_80 on: without mask,
/// dropout, offsets and diagonal; d and e equal, multiples of 8 and at most 128; elements of a head
/// next to each other, all other strides multiples of kGraphAlignment; a contiguous lse; more than
/// one query or key. Causal ones have no more queries than keys, so that every query sees a key.
/// Gradients that cuDNN has known faults in are not asked for: of one query, and without causal
/// masks of 64 more keys than a multiple of 128. Throws `std::invalid_argument` with the reason
/// otherwise.
Attention sdpaOf(const KernelSpec &spec);

/// What a plan gives it as workspace, in bytes: what cuDNN 9.19 needs at most on any GPU from sm_80
/// to sm_120 (test/unit/cuda/CudnnPlanTest.cpp asks it). That of the gradient grows with s t.
uint64_t sdpaWorkspace(const Attention &attention);

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_SDPA_H
