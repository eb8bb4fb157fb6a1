//===- ConvolutionTesting.h - convolutions as plain loops -------------------------------------===//

#ifndef DEEPSHARD_TEST_UNIT_KERNELS_CONVOLUTIONTESTING_H
#define DEEPSHARD_TEST_UNIT_KERNELS_CONVOLUTIONTESTING_H

#include "test/unit/kernels/TestTensors.h"

namespace deepshard::runtime::test {

using Tensors = std::vector<Tensor *>;

struct WindowDim {
  int64_t size, kernel, stride, low, high, dilation;
  int64_t result() const { return (low + size + high - dilation * (kernel - 1) - 1) / stride + 1; }
};

struct ConvolutionProblem {
  int64_t batch, groups, inputs, outputs; // channels of one group
  std::vector<WindowDim> dims;

  Sizes shape(int64_t first, int64_t second,
              const std::function<int64_t(const WindowDim &)> &of) const {
    Sizes result = {first, second};
    for (const WindowDim &dim : dims)
      result.push_back(of(dim));
    return result;
  }
  Sizes x() const {
    return shape(batch, groups * inputs, [](const WindowDim &dim) { return dim.size; });
  }
  Sizes weight() const {
    return shape(groups * outputs, inputs, [](const WindowDim &dim) { return dim.kernel; });
  }
  Sizes y() const {
    return shape(batch, groups * outputs, [](const WindowDim &dim) { return dim.result(); });
  }
  Attributes attributes() const {
    Sizes strides, low, high, dilations;
    for (const WindowDim &dim : dims) {
      strides.push_back(dim.stride);
      low.push_back(dim.low);
      high.push_back(dim.high);
      dilations.push_back(dim.dilation);
    }
    return {{"strides", strides},
            {"low", low},
            {"high", high},
            {"dilations", dilations},
            {"groups", groups}};
  }
};

/// Calls `body(xIndex, weightIndex, yIndex)` for every product of a convolution, as row-major
/// indices.
template <typename Body> void forEachProduct(const ConvolutionProblem &p, const Body &body) {
  const Sizes xShape = p.x(), weightShape = p.weight(), yShape = p.y();
  const int64_t taps = product(weightShape) / weightShape[0];
  for (int64_t y = 0; y < product(yShape); ++y) {
    const Sizes yAt = unravel(y, yShape);
    for (int64_t weight = yAt[1] * taps; weight < (yAt[1] + 1) * taps; ++weight) {
      const Sizes weightAt = unravel(weight, weightShape);
      Sizes xAt = {yAt[0], weightAt[0] / p.outputs * p.inputs + weightAt[1]};
      bool inside = true;
      for (size_t i = 0; i < p.dims.size(); ++i) {
        const WindowDim &dim = p.dims[i];
        xAt.push_back(yAt[2 + i] * dim.stride + weightAt[2 + i] * dim.dilation - dim.low);
        inside &= xAt.back() >= 0 && xAt.back() < dim.size;
      }
      if (inside)
        body(ravel(xAt, xShape), weight, y);
    }
  }
}

/// Runs the three kernels on operands of the given descriptions and compares each with the loop.
template <typename Run>
void checkAll(const ConvolutionProblem &p, Random &random,
              const std::function<TensorDesc(const Sizes &, bool isResult)> &describe,
              double tolerance, const Run &run) {
  Tensor x = uniform(random, describe(p.x(), false)),
         weight = uniform(random, describe(p.weight(), false)),
         dy = uniform(random, describe(p.y(), false));
  Tensor y(describe(p.y(), true)), dx(describe(p.x(), true)), dweight(describe(p.weight(), true));
  std::vector<double> forward(product(p.y())), inputGrad(product(p.x())),
      weightGrad(product(p.weight()));
  forEachProduct(p, [&](int64_t xAt, int64_t weightAt, int64_t yAt) {
    forward[yAt] += x.get(xAt) * weight.get(weightAt);
    inputGrad[xAt] += dy.get(yAt) * weight.get(weightAt);
    weightGrad[weightAt] += dy.get(yAt) * x.get(xAt);
  });
  run("convolution", {&x, &weight}, {&y});
  expectNear(y, forward, tolerance, "convolution");
  run("convolution_input_grad", {&dy, &weight}, {&dx});
  expectNear(dx, inputGrad, tolerance, "convolution_input_grad");
  run("convolution_weight_grad", {&dy, &x}, {&dweight});
  expectNear(dweight, weightGrad, tolerance, "convolution_weight_grad");
}

inline ConvolutionProblem randomConvolution(Random &random) {
  ConvolutionProblem p{
      draw(random, 1, 3), draw(random, 1, 3), draw(random, 1, 4), draw(random, 1, 4), {}};
  for (int64_t rank = draw(random, 1, 3); rank > 0; --rank) {
    WindowDim dim{draw(random, 1, 6), draw(random, 1, 3), draw(random, 1, 3),
                  draw(random, 0, 3), draw(random, 0, 3), draw(random, 1, 2)};
    // The kernel fits.
    const int64_t reach = dim.dilation * (dim.kernel - 1) + 1;
    dim.high = std::max(dim.high, reach - dim.low - dim.size);
    p.dims.push_back(dim);
  }
  return p;
}

} // namespace deepshard::runtime::test

#endif // DEEPSHARD_TEST_UNIT_KERNELS_CONVOLUTIONTESTING_H
