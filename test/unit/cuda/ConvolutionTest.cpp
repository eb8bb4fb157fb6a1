//===- ConvolutionTest.cpp - convolutions of provider "cudnn" ---------------------------------===//
//
// The reference kernels stand behind it: what is tested is what the provider does itself, which is
// everything about gradients of weights in f32 from bf16 and f16.
//
//===------------------------------------------------------------------------------------------===//

#include "test/unit/cuda/CudnnTesting.h"
#include "test/unit/kernels/ConvolutionTesting.h"

using namespace deepshard::runtime;
using namespace deepshard::runtime::test;
using testing::HasSubstr;

namespace {

struct ConvolutionTest : CudnnTest {
  /// Runs what a plan would launch.
  void launch(const std::string &name, const ConvolutionProblem &problem, const Tensors &inputs,
              const Tensors &outputs) {
    KernelSpec spec{name, {}, {}, problem.attributes()};
    for (const Tensor *input : inputs)
      spec.inputs.push_back(input->desc);
    for (const Tensor *output : outputs)
      spec.outputs.push_back(output->desc);
    spec = planned(spec);
    ASSERT_EQ(cudnn().whyNot(spec), std::nullopt);
    run(*cudnn().prepare(spec), inputs, outputs, cudnn().workspaceBytes(spec));
  }
};

TEST_F(ConvolutionTest, OfAnyWindows) {
  Random random(11);
  for (int round = 0; round < 10; ++round)
    for (DType type : {DType::F32, DType::BF16, DType::F16}) {
      const ConvolutionProblem problem = randomConvolution(random);
      checkAll(
          problem, random,
          [&](const Sizes &shape, bool) { return TensorDesc::contiguous(type, shape); },
          type == DType::F32 ? 1e-7 : 1.01 * roundingOf(type),
          [&](const std::string &name, const Tensors &inputs, const Tensors &outputs) {
            launch(name, problem, inputs, outputs);
          });
    }
}

/// No product or sum is rounded to the operands' type.
TEST_F(ConvolutionTest, WidensGradientsOfWeights) {
  Random random(12);
  for (DType type : kNarrow)
    for (int round = 0; round < 5; ++round) {
      const ConvolutionProblem problem = randomConvolution(random);
      Tensor x = uniform(random, TensorDesc::contiguous(type, problem.x())),
             dy = uniform(random, TensorDesc::contiguous(type, problem.y())),
             dweight(TensorDesc::contiguous(DType::F32, problem.weight()));
      std::vector<double> expected(product(problem.weight()));
      forEachProduct(problem, [&](int64_t xAt, int64_t weightAt, int64_t yAt) {
        expected[weightAt] += dy.get(yAt) * x.get(xAt);
      });
      launch("convolution_weight_grad", problem, {&dy, &x}, {&dweight});
      expectNear(dweight, expected, 1e-7, "convolution_weight_grad");
    }
}

TEST_F(ConvolutionTest, SaysWhyNot) {
  const ConvolutionProblem problem{2, 1, 3, 4, {{6, 3, 1, 1, 1, 1}}};
  auto of = [](DType type, const Sizes &shape) { return TensorDesc::contiguous(type, shape); };
  KernelSpec spec{"convolution",
                  {of(DType::BF16, problem.x()), of(DType::BF16, problem.weight())},
                  {of(DType::BF16, problem.y())},
                  problem.attributes()};
  EXPECT_THAT(*cudnn().whyNot(spec), HasSubstr("workspace_bytes is missing"));
  auto whyNot = [&](const std::function<void(KernelSpec &)> &change) {
    KernelSpec changed = planned(spec);
    change(changed);
    return cudnn().whyNot(changed).value_or("");
  };
  EXPECT_EQ(whyNot([](KernelSpec &) {}), "");
  EXPECT_EQ(whyNot([](KernelSpec &changed) { changed.inputs[0].strides = {20, 6, 1}; }),
            "bf16[2x3x6] is not contiguous");
  EXPECT_EQ(whyNot([&](KernelSpec &changed) {
              for (TensorDesc *desc : {&changed.inputs[0], &changed.inputs[1], &changed.outputs[0]})
                desc->dtype = DType::F64;
            }),
            "elements are f64, expected f32, bf16 or f16");
  // Copies in f32 of dy and x, each from a multiple of 256 bytes on.
  spec = planned({"convolution_weight_grad",
                  {of(DType::BF16, problem.y()), of(DType::BF16, problem.x())},
                  {of(DType::F32, problem.weight())},
                  problem.attributes()});
  EXPECT_EQ(whyNot([](KernelSpec &) {}), "");
  EXPECT_EQ(
      whyNot([](KernelSpec &changed) { changed.attributes.set("workspace_bytes", int64_t{511}); }),
      "its copies in f32 need a workspace of 512 bytes, the plan gives it 511");
}

TEST_F(ConvolutionTest, RefusesOperandsThatAreNotAligned) {
  const ConvolutionProblem problem{1, 1, 1, 1, {{4, 1, 1, 0, 0, 1}}};
  KernelSpec spec = planned({"convolution",
                             {TensorDesc::contiguous(DType::F32, problem.x()),
                              TensorDesc::contiguous(DType::F32, problem.weight())},
                             {TensorDesc::contiguous(DType::F32, problem.y())},
                             problem.attributes()});
  std::unique_ptr<Kernel> kernel = cudnn().prepare(spec);
  std::unique_ptr<Arena> arena = device->arena(Space::Device, 256);
  void *inputs[] = {arena->data(), arena->data() + 4}, *outputs[] = {arena->data() + 128};
  kernel->run({inputs, outputs, arena->data()});
  EXPECT_EQ(messageOf([&] { device->throwIfFailed(); }),
            "an operand of convolution is not aligned to 16 bytes");
}

} // namespace
