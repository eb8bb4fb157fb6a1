//===- Convolution.cpp - convolutions and their gradients as calls of oneDNN ------------------===//
//
// The direct algorithm, which sums the products that the definition has. (Winograd's rounds
// differently, so that results would depend on which shapes the library takes it for.)
//
// The library computes convolutions on channels in blocks of a vector: it says how it wants the
// operands, and the kernel moves them. Measured with 2 threads and AVX-512 (oneDNN 2.6.3, batch 8,
// f32, all three kernels, with the moves): 3x3 on 64 channels of 56x56 18 ms against 37 ms on
// row-major operands, 3x3 depthwise on 128 channels of 28x28 1.2 ms against 15 ms. Only a kernel of
// one element in one group is a matrix product as it lies, and moving it does not pay: 256 to 64
// channels of 56x56 take 9 ms row-major, 12 ms with the moves.
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/kernels/Convolution.h"
#include "runtime/kernels/Require.h"
#include "runtime/kernels/onednn/Primitive.h"

#include <algorithm>
#include <fmt/format.h>

using namespace deepshard::runtime;
using namespace deepshard::runtime::onednn;
using dnnl::memory;

namespace {

/// Window and operands in the library's terms.
struct Terms {
  memory::dims strides, dilations, low, high;
  memory::desc x, weight, y;                // as given
  memory::desc takenX, takenWeight, takenY; // as the library may choose
};

/// A tensor as it lies; the first dimension of a weight in groups is two dimensions, the groups in
/// front.
memory::desc givenDesc(const TensorDesc &tensor, int64_t groups = 1) {
  memory::dims shape = tensor.shape, strides = tensor.strides;
  if (tensor.isContiguous()) // what stride a size of 1 has does not matter
    strides = TensorDesc::contiguous(tensor.dtype, tensor.shape).strides;
  for (size_t dim = 0; dim < shape.size(); ++dim)
    require(shape[dim] == 1 || strides[dim] > 0,
            fmt::format("the operand {} repeats its elements", textOf(tensor)));
  if (groups > 1) {
    shape[0] /= groups;
    strides.insert(strides.begin(), shape[0] * strides[0]);
    shape.insert(shape.begin(), groups);
  }
  return {shape, typeOf(tensor.dtype), strides};
}

/// Row-major, or left to the library.
memory::desc takenDesc(const memory::desc &given, bool isPlain) {
  if (!isPlain)
    return {given.dims(), given.data_type(), memory::format_tag::any};
  return {given.dims(), given.data_type(),
          TensorDesc::contiguous(DType::F32, given.dims()).strides};
}

Terms termsOf(const Convolution &convolution) {
  Terms terms;
  for (const ConvolutionDim &dim : convolution.spatial) {
    terms.strides.push_back(dim.stride);
    terms.dilations.push_back(dim.dilation - 1);
    terms.low.push_back(dim.low);
    terms.high.push_back(dim.high);
  }
  terms.x = givenDesc(convolution.x);
  terms.weight = givenDesc(convolution.weight, convolution.groups);
  terms.y = givenDesc(convolution.y);
  const bool isProduct = convolution.groups == 1 &&
                         std::all_of(convolution.spatial.begin(), convolution.spatial.end(),
                                     [](const ConvolutionDim &dim) { return dim.kernel == 1; });
  terms.takenX = takenDesc(terms.x, isProduct);
  terms.takenWeight = takenDesc(terms.weight, isProduct);
  terms.takenY = takenDesc(terms.y, isProduct);
  return terms;
}

constexpr auto kDirect = dnnl::algorithm::convolution_direct;

using Forward = dnnl::convolution_forward;

Forward::primitive_desc describeForward(const Terms &t, const dnnl::primitive_attr &attributes) {
  const Forward::desc operation(dnnl::prop_kind::forward_training, kDirect, t.takenX, t.takenWeight,
                                t.takenY, t.strides, t.dilations, t.low, t.high);
  return {operation, attributes, cpuEngine()};
}

/// `Backward` is one of the library's two gradients.
template <typename Backward>
typename Backward::primitive_desc describeBackward(const Terms &t,
                                                   const dnnl::primitive_attr &attributes) {
  const typename Backward::desc operation(kDirect, t.takenX, t.takenWeight, t.takenY, t.strides,
                                          t.dilations, t.low, t.high);
  return {operation, attributes, cpuEngine(), describeForward(t, attributes)};
}

Call forwardCall(const Terms &t, int threads) {
  Forward::primitive_desc chosen;
  Call call;
  call.description = describe(threads, [&](const dnnl::primitive_attr &attributes) {
    return chosen = describeForward(t, attributes);
  });
  call.operands = {{DNNL_ARG_SRC, false, 0, t.x, chosen.src_desc()},
                   {DNNL_ARG_WEIGHTS, false, 1, t.weight, chosen.weights_desc()},
                   {DNNL_ARG_DST, true, 0, t.y, chosen.dst_desc()}};
  return call;
}

Call inputGradCall(const Terms &t, int threads) {
  using Backward = dnnl::convolution_backward_data;
  Backward::primitive_desc chosen;
  Call call;
  call.description = describe(threads, [&](const dnnl::primitive_attr &attributes) {
    return chosen = describeBackward<Backward>(t, attributes);
  });
  call.operands = {{DNNL_ARG_DIFF_DST, false, 0, t.y, chosen.diff_dst_desc()},
                   {DNNL_ARG_WEIGHTS, false, 1, t.weight, chosen.weights_desc()},
                   {DNNL_ARG_DIFF_SRC, true, 0, t.x, chosen.diff_src_desc()}};
  return call;
}

Call weightGradCall(const Terms &t, int threads) {
  using Backward = dnnl::convolution_backward_weights;
  Backward::primitive_desc chosen;
  Call call;
  call.description = describe(threads, [&](const dnnl::primitive_attr &attributes) {
    return chosen = describeBackward<Backward>(t, attributes);
  });
  call.operands = {{DNNL_ARG_DIFF_DST, false, 0, t.y, chosen.diff_dst_desc()},
                   {DNNL_ARG_SRC, false, 1, t.x, chosen.src_desc()},
                   {DNNL_ARG_DIFF_WEIGHTS, true, 0, t.weight, chosen.diff_weights_desc()}};
  return call;
}

} // namespace

Call deepshard::runtime::onednn::convolutionCall(const KernelSpec &spec) {
  const Convolution convolution = Convolution::of(spec);
  requireFloats(spec);
  const Terms terms = termsOf(convolution);
  if (spec.name == "convolution")
    return forwardCall(terms, spec.threads);
  return spec.name == "convolution_input_grad" ? inputGradCall(terms, spec.threads)
                                               : weightGradCall(terms, spec.threads);
}
