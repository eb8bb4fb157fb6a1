//===- ConvolutionTest.cpp - convolutions of every provider against a plain loop --------------===//

#include "ConvolutionTesting.h"

using namespace deepshard::runtime;
using namespace deepshard::runtime::test;

namespace {

TEST(Convolution, ReferenceOfAnyWindows) {
  Random random(1);
  for (int round = 0; round < 60; ++round) {
    const ConvolutionProblem p = randomConvolution(random);
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
  const ConvolutionProblem p{2, 2, 20, 37, {{9, 3, 1, 1, 1, 1}, {8, 3, 2, 0, 1, 1}}};
  checkAll(
      p, random, [](const Sizes &shape, bool) { return TensorDesc::contiguous(DType::F64, shape); },
      1e-13,
      [&](const std::string &name, const Tensors &inputs, const Tensors &outputs) {
        runThreads("reference", name, p.attributes(), inputs, outputs);
      });
}

/// With one thread count oneDNN gives the same bits in every run, and what is expected, for
/// row-major operands and for others.
void checkOnednn(const ConvolutionProblem &p, Random &random) {
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
    checkOnednn(randomConvolution(random), random);
}

/// What models have: blocks of channels, full and not, depthwise, a kernel of one element, a stem.
TEST(Convolution, OnednnOfModels) {
  Random random(4);
  const WindowDim same{12, 3, 1, 1, 1, 1}, half{13, 3, 2, 1, 1, 1}, one{9, 1, 1, 0, 0, 1},
      patch{16, 4, 4, 0, 0, 1};
  for (const ConvolutionProblem &p :
       std::vector<ConvolutionProblem>{{2, 1, 16, 32, {same, same}},
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
