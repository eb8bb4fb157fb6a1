//===- Primitive.h - a oneDNN matmul prepared for running -------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_ONEDNN_PRIMITIVE_H
#define DEEPSHARD_RUNTIME_KERNELS_ONEDNN_PRIMITIVE_H

#include "runtime/kernels/Kernel.h"

#include <dnnl.hpp>

namespace deepshard::runtime::onednn {

/// One call of oneDNN's matmul on f32: dst[batch.., m, n] = src[batch.., m, k] weights[batch.., k,
/// n] (+ bias[n]).
struct MatmulCall {
  dnnl::memory::desc src, weights, dst;
  std::optional<dnnl::memory::desc> bias;
  int srcInput = 0, weightsInput = 1, biasInput = 2; // which operands of the kernel they are
};

/// How `spec` (called matmul or linear) is written as a call. Throws `std::invalid_argument` with
/// the reason if it is not.
MatmulCall matmulCall(const KernelSpec &spec);
MatmulCall linearCall(const KernelSpec &spec);

} // namespace deepshard::runtime::onednn

#endif // DEEPSHARD_RUNTIME_KERNELS_ONEDNN_PRIMITIVE_H
