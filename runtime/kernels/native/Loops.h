//===- Loops.h - the inner functions of the native kernels, per CPU level ---------------------===//
//
// Attention.inc, CrossEntropy.inc and Update.inc are compiled once per level, by Level3.cpp and
// Level4.cpp; this is what they offer. Plain pointers and numbers only: an inline function of the
// C++ library that a wide file instantiates could be the copy that the linker keeps for everybody.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_NATIVE_LOOPS_H
#define DEEPSHARD_RUNTIME_KERNELS_NATIVE_LOOPS_H

#include "runtime/kernels/AttentionCall.h"

#include <cstddef>
#include <cstdint>

namespace deepshard::runtime {
struct AdamWStep;
} // namespace deepshard::runtime

namespace deepshard::runtime::native {

/// Addresses of one run; `lse` and `o` are results of attention and operands of attention_grad. lse
/// and an added mask are f32, all others have the element type of the loops.
struct AttentionData {
  const void *q, *k, *v;
  void *o;
  float *lse;
  const void *mask;       // null without a mask
  const int64_t *counter; // null without dropout
  const int64_t *offsets; // where the scores begin in the whole; null: at 0
  int64_t diagonal;       // with `causal`, query i sees keys j <= i + t - s + diagonal
  const void *dO;
  void *dQ, *dK, *dV;
};

/// What there is for each element type that tensors are kept in; all of it computes in f32.
struct ElementLoops {
  /// All heads that read key/value head `group` of batch row `batch`.
  void (*forward)(const AttentionCall &call, const AttentionData &data, int64_t batch,
                  int64_t group, float *scratch);
  void (*backward)(const AttentionCall &call, const AttentionData &data, int64_t batch,
                   int64_t group, float *scratch);
  /// log(sum(exp(x))) of one row of one or more elements.
  float (*logSumExp)(const void *x, int64_t columns);
  /// One row of the gradient of cross entropy; `out` may be x.
  void (*crossEntropyGrad)(const void *x, int64_t columns, int64_t target, float lse, float scale,
                           void *out);
  /// The same without lse, and the loss of the row; `scratch` has a float per column, but with f32.
  float (*crossEntropyWithGrad)(const void *x, int64_t columns, int64_t target, float scale,
                                void *out, float *scratch);
  /// Elements [begin, end) of p, g, m, v -> p', m', v', all f32, and, unless `copy` is null, p'
  /// rounded to the type of the loops.
  void (*adamw)(const AdamWStep &step, const float *const *in, float *const *out, void *copy,
                int64_t begin, int64_t end);
};

struct Loops {
  /// Bytes of scratch memory, 64-byte aligned, that one thread needs.
  size_t (*forwardScratch)(const AttentionCall &call);
  size_t (*backwardScratch)(const AttentionCall &call);
  ElementLoops f32, bf16, f16;
  /// The sum of squares of `count` elements in f64, kept in 16 lanes that are added in order.
  double (*sumSquares)(const float *x, int64_t count);
};

const Loops &loopsLevel3(); // x86-64-v3
const Loops &loopsLevel4(); // x86-64-v4

} // namespace deepshard::runtime::native

#endif // DEEPSHARD_RUNTIME_KERNELS_NATIVE_LOOPS_H
