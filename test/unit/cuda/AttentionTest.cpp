//===- AttentionTest.cpp - provider cudnn, with the native kernels behind it ------------------===//

#include "runtime/kernels/cuda/GraphCompiler.h"
#include "runtime/plan/Error.h"
#include "test/unit/cuda/CudnnTesting.h"

using namespace deepshard::runtime;
using namespace deepshard::runtime::test;
using testing::HasSubstr;

namespace {

constexpr int64_t kBatch = 2, kHeads = 4, kGroups = 2, kLength = 9, kSize = 16;

/// [b, heads, s, d] as it lies in [b, s, heads, d].
TensorDesc heads(int64_t count, DType type = DType::BF16) {
  int64_t row = count * kSize;
  return {type, {kBatch, count, kLength, kSize}, {kLength * row, kSize, row, 1}};
}

TensorDesc lse() { return TensorDesc::contiguous(DType::F32, {kBatch, kHeads, kLength}); }

KernelSpec forward() {
  return {"attention",
          {heads(kHeads), heads(kGroups), heads(kGroups)},
          {heads(kHeads), lse()},
          {{"scale", 0.25}, {"causal", true}}};
}

KernelSpec gradient() {
  return {"attention_grad",
          {heads(kHeads), heads(kHeads), heads(kGroups), heads(kGroups), heads(kHeads), lse()},
          {heads(kHeads), heads(kGroups), heads(kGroups)},
          {{"scale", 0.25}, {"causal", true}}};
}

struct AttentionTest : CudnnTest {
  /// What `kernel` makes of random operands.
  std::vector<Tensor> results(const KernelSpec &spec, Kernel &kernel, size_t workspaceBytes) {
    Random random(5);
    std::vector<Tensor> inputs, outputs;
    for (const TensorDesc &desc : spec.inputs)
      inputs.push_back(uniform(random, desc));
    outputs.assign(spec.outputs.begin(), spec.outputs.end());
    run(kernel, addresses(inputs), addresses(outputs), workspaceBytes);
    return outputs;
  }

  static std::vector<Tensor *> addresses(std::vector<Tensor> &tensors) {
    std::vector<Tensor *> result;
    for (Tensor &tensor : tensors)
      result.push_back(&tensor);
    return result;
  }
};

TEST_F(AttentionTest, ComputesAttentionAndItsGradient) {
  const KernelProvider &provider = cudnn();
  EXPECT_EQ(provider.library(), "cuDNN 9.19.1");
  for (KernelSpec spec : {forward(), gradient()}) {
    const KernelProvider &native = nativeProvider(cpuLevel());
    std::vector<Tensor> expected =
        results(spec, *native.prepare(spec), native.workspaceBytes(spec) + 64);
    size_t workspace = plannedCudnnProvider().workspaceBytes(spec);
    spec = planned(spec);
    ASSERT_EQ(provider.whyNot(spec), std::nullopt);
    EXPECT_EQ(provider.workspaceBytes(spec), workspace);
    std::vector<Tensor> found = results(spec, *provider.prepare(spec), workspace);
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i)
      EXPECT_EQ(found[i].bytes, expected[i].bytes) << spec.name << ", " << i;
  }
}

/// A graph of the plan is taken for the version of cuDNN, chip, processors and driver that it was
/// built for, and else built.
TEST_F(AttentionTest, TakesGraphsOfThePlan) {
  const GpuDescription here{90, kFakeProcessors, 13000};
  const std::unique_ptr<GraphCompiler> compiler =
      openGraphCompiler({here, DEEPSHARD_FAKE_LIBRARIES});
  KernelSpec spec = planned(gradient());
  const StoredGraph fitting = compiler->build(spec);
  EXPECT_EQ(fitting.library, "cuDNN 9.19.1");
  EXPECT_EQ(fitting.gpu, "sm_90 with 132 multiprocessors, CUDA 13.0");
  spec.attributes.set("graph", int64_t{1});
  auto built = [&](StoredGraph graph) {
    fake.reset({});
    open({compiler->build(forward()), std::move(graph)});
    (void)cudnn().prepare(spec);
    std::map<std::string, uint64_t> calls = fake.callsByName();
    EXPECT_EQ(calls["cudnnLoad"] + calls["cudnnBuild"], 1u);
    return calls["cudnnBuild"] == 1;
  };
  EXPECT_FALSE(built(fitting));
  StoredGraph other = fitting;
  other.library = "cuDNN 9.19.0";
  EXPECT_TRUE(built(other));
  for (const GpuDescription &gpu :
       {GpuDescription{80, here.processors, here.driver}, GpuDescription{90, 114, here.driver},
        GpuDescription{90, here.processors, 13010}}) {
    other = fitting;
    other.gpu = textOf(gpu);
    EXPECT_TRUE(built(other)) << other.gpu;
  }
  spec.attributes.set("graph", int64_t{2});
  EXPECT_TRUE(built(fitting));
}

TEST_F(AttentionTest, SaysWhyNot) {
  const KernelProvider &provider = cudnn();
  KernelSpec spec = forward();
  EXPECT_THAT(*provider.whyNot(spec), HasSubstr("workspace_bytes is missing"));
  spec.attributes.set("workspace_bytes", int64_t{0});
  EXPECT_EQ(messageOf([&] { (void)provider.prepare(spec); }),
            "cuDNN 9.19.1 needs a workspace of 256 bytes for attention, the plan gives it 0");
  spec.attributes.set("causal", false);
  spec.inputs[0].dtype = DType::F32;
  EXPECT_THAT(*provider.whyNot(spec), HasSubstr("k is bf16"));
  spec.name = "softmax";
  EXPECT_THAT(*provider.whyNot(spec), HasSubstr("softmax is no attention"));
}

/// As (queries, keys): these the library computes wrongly.
TEST_F(AttentionTest, RefusesGradientsWithKnownFaults) {
  auto whyNot = [&](int64_t queries, int64_t keys, bool causal) {
    auto of = [](int64_t length) {
      return TensorDesc::contiguous(DType::BF16, {1, 2, length, 16});
    };
    TensorDesc q = of(queries), k = of(keys);
    TensorDesc lse = TensorDesc::contiguous(DType::F32, {1, 2, queries});
    KernelSpec spec{
        "attention_grad", {q, q, k, k, q, lse}, {q, k, k}, {{"scale", 0.25}, {"causal", causal}}};
    return plannedCudnnProvider().whyNot(spec).value_or("");
  };
  EXPECT_THAT(whyNot(64, 64, false), HasSubstr("the gradient of 64 keys"));
  EXPECT_THAT(whyNot(8, 192, false), HasSubstr("the gradient of 192 keys"));
  EXPECT_THAT(whyNot(1, 8, false), HasSubstr("the gradient of one query"));
  for (int64_t keys : {63, 65, 128, 196})
    EXPECT_EQ(whyNot(8, keys, false), "") << keys;
  EXPECT_EQ(whyNot(64, 64, true), "");
}

TEST_F(AttentionTest, RefusesOperandsThatAreNotAligned) {
  std::unique_ptr<Kernel> kernel = cudnn().prepare(planned(forward()));
  std::unique_ptr<Arena> arena = device->arena(Space::Device, 1 << 16);
  void *inputs[] = {arena->data(), arena->data() + 8, arena->data()};
  void *outputs[] = {arena->data(), arena->data()};
  kernel->run({inputs, outputs, arena->data()});
  EXPECT_EQ(messageOf([&] { device->throwIfFailed(); }),
            "an operand of attention is not aligned to 16 bytes");
}

} // namespace
