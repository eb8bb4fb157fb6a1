//===- ConvolutionTest.cpp - convolutions of every provider against a plain loop --------------===//

#include "TestTensors.h"

using namespace deepshard::runtime;
using namespace deepshard::runtime::test;

namespace {

struct Dim {
  int64_t size, kernel, stride, low, high, dilation;
  int64_t result() const { return (low + size + high - dilation * (kernel - 1) - 1) / stride + 1; }
};

struct Problem {
  int64_t batch, groups, inputs, outputs; // channels of one group
  std::vector<Dim> dims;

  Sizes shape(int64_t first, int64_t second, const std::function<int64_t(const Dim &)> &of) const {
    Sizes result = {first, second};
    for (const Dim &dim : dims)
      result.push_back(of(dim));
    return result;
  }
  Sizes x() const {
    return shape(batch, groups * inputs, [](const Dim &dim) { return dim.size; });
  }
  Sizes weight() const {
    return shape(groups * outputs, inputs, [](const Dim &dim) { return dim.kernel; });
  }
  Sizes y() const {
    return shape(batch, groups * outputs, [](const Dim &dim) { return dim.result(); });
  }
  Attributes attributes() const {
    Sizes strides, low, high, dilations;
    for (const Dim &dim : dims) {
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
template <typename Body> void forEachProduct(const Problem &p, const Body &body) {
  const Sizes xShape = p.x(), weightShape = p.weight(), yShape = p.y();
  const int64_t taps = product(weightShape) / weightShape[0];
  for (int64_t y = 0; y < product(yShape); ++y) {
    const Sizes yAt = unravel(y, yShape);
    for (int64_t weight = yAt[1] * taps; weight < (yAt[1] + 1) * taps; ++weight) {
      const Sizes weightAt = unravel(weight, weightShape);
      Sizes xAt = {yAt[0], weightAt[0] / p.outputs * p.inputs + weightAt[1]};
      bool inside = true;
      for (size_t i = 0; i < p.dims.size(); ++i) {
        const Dim &dim = p.dims[i];
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
void checkAll(const Problem &p, Random &random,
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

using Tensors = std::vector<Tensor *>;

Problem randomProblem(Random &random) {
  Problem p{draw(random, 1, 3), draw(random, 1, 3), draw(random, 1, 4), draw(random, 1, 4), {}};
  for (int64_t rank = draw(random, 1, 3); rank > 0; --rank) {
    Dim dim{draw(random, 1, 6), draw(random, 1, 3), draw(random, 1, 3),
            draw(random, 0, 3), draw(random, 0, 3), draw(random, 1, 2)};
    // The kernel fits.
    const int64_t reach = dim.dilation * (dim.kernel - 1) + 1;
    dim.high = std::max(dim.high, reach - dim.low - dim.size);
    p.dims.push_back(dim);
  }
  return p;
}

TEST(Convolution, ReferenceOfAnyWindows) {
  Random random(1);
  for (int round = 0; round < 60; ++round) {
    const Problem p = randomProblem(random);
    for (DType dtype : {DType::F32, DType::F64})
      checkAll(
          p, random,
          [&](const Sizes &shape, bool isResult) {
            return randomDesc(random, dtype, shape, !isResult);
          },
          dtype == DType::F32 ? 1e-7 : 1e-14,
          [&](const std::string &name, const Tensors &inputs, const Tensors &outputs) {
            runThreads("reference", name, p.attributes(), inputs, outputs);
          });
  }
}

TEST(Convolution, ReferenceOfManyTiles) {
  Random random(2);
  const Problem p{2, 2, 20, 37, {{9, 3, 1, 1, 1, 1}, {8, 3, 2, 0, 1, 1}}};
  checkAll(
      p, random, [](const Sizes &shape, bool) { return TensorDesc::contiguous(DType::F64, shape); },
      1e-13,
      [&](const std::string &name, const Tensors &inputs, const Tensors &outputs) {
        runThreads("reference", name, p.attributes(), inputs, outputs);
      });
}

/// With one thread count oneDNN gives the same bits in every run, and what is expected, for
/// row-major operands and for others.
void checkOnednn(const Problem &p, Random &random) {
  const KernelProvider &onednn = *findProvider("onednn");
  for (bool isStrided : {false, true})
    checkAll(
        p, random,
        [&](const Sizes &shape, bool) {
          return isStrided ? randomDesc(random, DType::F32, shape, false)
                           : TensorDesc::contiguous(DType::F32, shape);
        },
        2e-6,
        [&](const std::string &name, const Tensors &inputs, const Tensors &outputs) {
          for (int threads : {2, 1}) {
            runOnce(onednn, name, p.attributes(), inputs, outputs, threads);
            const std::vector<char> first = outputs[0]->bytes;
            runOnce(onednn, name, p.attributes(), inputs, outputs, threads);
            EXPECT_TRUE(first == outputs[0]->bytes) << name;
          }
        });
}

TEST(Convolution, OnednnOfAnyWindows) {
  Random random(3);
  for (int round = 0; round < 60; ++round)
    checkOnednn(randomProblem(random), random);
}

/// What models have: blocks of channels, full and not, depthwise, a kernel of one element, a stem.
TEST(Convolution, OnednnOfModels) {
  Random random(4);
  const Dim same{12, 3, 1, 1, 1, 1}, half{13, 3, 2, 1, 1, 1}, one{9, 1, 1, 0, 0, 1},
      patch{16, 4, 4, 0, 0, 1};
  for (const Problem &p : std::vector<Problem>{{2, 1, 16, 32, {same, same}},
                                               {2, 1, 19, 35, {half, same}},
                                               {2, 32, 1, 1, {same, same}},
                                               {2, 20, 1, 2, {half, half}},
                                               {2, 1, 24, 16, {one, one}},
                                               {2, 3, 8, 5, {one, one}},
                                               {2, 1, 3, 16, {patch, patch}},
                                               {2, 1, 16, 16, {half}},
                                               {1, 1, 8, 16, {half, one, same}}})
    checkOnednn(p, random);
}

TEST(Convolution, FaultsAreNamed) {
  const KernelProvider &reference = *findProvider("reference");
  const KernelProvider &onednn = *findProvider("onednn");
  KernelSpec spec{"convolution",
                  {TensorDesc::contiguous(DType::F32, {2, 4, 8}),
                   TensorDesc::contiguous(DType::F32, {6, 4, 3})},
                  {TensorDesc::contiguous(DType::F32, {2, 6, 6})},
                  {{"strides", Sizes{1}},
                   {"low", Sizes{0}},
                   {"high", Sizes{0}},
                   {"dilations", Sizes{1}},
                   {"groups", int64_t{1}}},
                  1};
  EXPECT_EQ(reference.whyNot(spec), std::nullopt);
  EXPECT_EQ(onednn.whyNot(spec), std::nullopt);
  spec.inputs[0].strides = {0, 8, 1};
  EXPECT_EQ(reference.whyNot(spec), std::nullopt);
  EXPECT_EQ(onednn.whyNot(spec), "the operand f32[2x4x8] repeats its elements");
  spec.attributes.set("strides", Sizes{2});
  EXPECT_EQ(reference.whyNot(spec), "spatial dimension 0 of the result is 6, expected 3");
  spec.attributes.set("dilations", Sizes{4});
  EXPECT_EQ(reference.whyNot(spec),
            "a kernel that reaches over 9 elements does not fit into the 8 of spatial dimension 0");
  spec.attributes.set("dilations", Sizes{0});
  EXPECT_EQ(reference.whyNot(spec), "dilations has the entry 0, expected 1 or more");
  spec.attributes.set("low", Sizes{0, 0});
  EXPECT_EQ(reference.whyNot(spec), "low has 2 entries, expected 1");
  spec.attributes.set("groups", int64_t{2});
  EXPECT_EQ(reference.whyNot(spec),
            "the weight f32[6x4x3] in 2 groups does not turn f32[2x4x8] into f32[2x6x6]");
  spec.inputs[1].dtype = DType::F64;
  EXPECT_EQ(reference.whyNot(spec),
            "convolution of f32[2x4x8] and f64[6x4x3] cannot give f32[2x6x6]");
  EXPECT_EQ(onednn.whyNot(spec), reference.whyNot(spec));
}

} // namespace
