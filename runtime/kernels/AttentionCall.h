//===- AttentionCall.h - shapes and strides of an attention -----------------------------------===//
//
// Plain numbers only, because native loops include it (native/Loops.h says why).
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_ATTENTIONCALL_H
#define DEEPSHARD_RUNTIME_KERNELS_ATTENTIONCALL_H

#include <cstdint>

namespace deepshard::runtime {

/// Element strides of a rank-4 operand.
struct Strides4 {
  int64_t b, h, s, d;
};

/// None; f32 that is added to the scores; i1 that says which keys are seen.
enum class MaskKind { None, Added, Seen };

/// One call of attention or its gradient; the letters are those of `graph.attention`.
struct AttentionCall {
  int64_t b, h, g, s, t, d, e; // g: key/value heads
  Strides4 q, k, v, o, mask;
  Strides4 dO, dQ, dK, dV; // of attention_grad
  int64_t lse[3];          // strides over b, h, s
  MaskKind maskKind;
  float scale;
  bool causal;
  double dropout;
  int64_t id;
  int64_t whole[4]; // sizes of the scores that the b x h x s x t ones are a part of
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_KERNELS_ATTENTIONCALL_H
