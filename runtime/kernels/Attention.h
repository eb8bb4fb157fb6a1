//===- Attention.h - attention and its gradient, read from a spec -----------------------------===//
//
// What the providers of `attention` and `attention_grad` share:
//
//   q, k, v, [mask], [counter, [offsets]], [diagonal] -> o, lse
//   dO, q, k, v, o, lse, [mask], [counter, [offsets]], [diagonal] -> dq, dk, dv
//
// All f32, all bf16 or all f16 but lse and an added mask, which are f32; any strides. A mask has
// rank 4, the counter rank 1, the diagonal rank 0: which of them are there follows from the
// operands; offsets are there with attribute global_shape. Attributes: scale, causal, dropout
// (absent: 0), id. See `graph.attention` for the meaning.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_ATTENTION_H
#define DEEPSHARD_RUNTIME_KERNELS_ATTENTION_H

#include "runtime/kernels/AttentionCall.h"
#include "runtime/kernels/Kernel.h"

namespace deepshard::runtime {

/// Which inputs the optional operands are; -1: absent.
struct AttentionOptional {
  int mask = -1, counter = -1, offsets = -1, diagonal = -1;
};

struct Attention {
  AttentionCall call = {};
  AttentionOptional optional;
  bool isGrad = false;
  DType dtype = DType::F32; ///< of q
};

/// Throws `std::invalid_argument` with the reason if `spec` is none.
Attention attentionOf(const KernelSpec &spec);

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_KERNELS_ATTENTION_H
