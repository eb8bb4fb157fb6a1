//===- Convolution.h - the dimensions of a convolution and of its gradients -------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CONVOLUTION_H
#define DEEPSHARD_RUNTIME_KERNELS_CONVOLUTION_H

#include "runtime/kernels/Kernel.h"

namespace deepshard::runtime {

/// One spatial dimension: element i of the result reads elements i * stride + k * dilation - low of
/// the input for 0 <= k < kernel; outside of [0, input) the input is zero.
struct ConvolutionDim {
  int64_t input, kernel, output;
  int64_t stride, dilation, low, high;
};

/// What `convolution` (x, weight -> y), `convolution_input_grad` (dy, weight -> dx) and
/// `convolution_weight_grad` (dy, x -> dweight) have in common.
struct Convolution {
  int64_t batch, groups;
  int64_t inputs, outputs; // channels of one group
  std::vector<ConvolutionDim> spatial;
  TensorDesc x, weight, y; // or their gradients, which lie as they do

  /// Reads the operands and the attributes strides, low, high, dilations (one entry per spatial
  /// dimension) and groups. Throws `std::invalid_argument` if shapes do not fit.
  static Convolution of(const KernelSpec &spec);
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_KERNELS_CONVOLUTION_H
