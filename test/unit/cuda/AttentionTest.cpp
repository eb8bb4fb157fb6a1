//===- AttentionTest.cpp - provider cudnn, with the native kernels behind it ------------------===//

#include "runtime/device/Cuda.h"
#include "runtime/plan/Error.h"
#include "test/unit/cuda/CudaTesting.h"
#include "test/unit/kernels/TestTensors.h"

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

struct CudnnTest : testing::Test {
  FakeCuda &fake = fakeCuda();
  CudaOptions options;
  std::unique_ptr<Device> device;
  std::unique_ptr<Stream> stream;

  CudnnTest() {
    fake.reset({});
    options.libraries = DEEPSHARD_FAKE_LIBRARIES;
    device = openCuda(options);
    stream = device->stream("compute");
  }

  /// Random operands in memory of the device and room for results, where `kernel` runs.
  std::vector<Tensor> run(const KernelSpec &spec, Kernel &kernel, size_t workspaceBytes) {
    std::vector<Tensor> tensors;
    std::vector<std::unique_ptr<Arena>> arenas;
    std::vector<void *> places;
    std::mt19937 random(5);
    std::uniform_real_distribution<double> numbers(-1, 1);
    auto place = [&](const TensorDesc &desc, bool isInput) {
      Tensor &tensor = tensors.emplace_back(desc);
      for (int64_t i = 0; isInput && i < desc.elements(); ++i)
        tensor.set(i, numbers(random));
      arenas.push_back(device->arena(Space::Device, tensor.bytes.size()));
      device->write(arenas.back()->data(), tensor.bytes.data(), tensor.bytes.size());
      places.push_back(arenas.back()->data());
    };
    for (const TensorDesc &desc : spec.inputs)
      place(desc, true);
    for (const TensorDesc &desc : spec.outputs)
      place(desc, false);
    std::unique_ptr<Arena> workspace = device->arena(Space::Device, workspaceBytes);
    std::span<void *const> all(places);
    KernelArguments arguments{all.first(spec.inputs.size()), all.subspan(spec.inputs.size()),
                              workspace->data()};
    std::function<void()> work = [&] { kernel.run(arguments); };
    stream->issue([](void *context,
                     uint64_t) noexcept { (*static_cast<std::function<void()> *>(context))(); },
                  &work, 0);
    device->throwIfFailed();
    stream->join();
    for (size_t i = 0; i < tensors.size(); ++i)
      device->read(tensors[i].bytes.data(), arenas[i]->data(), tensors[i].bytes.size());
    return {tensors.begin() + static_cast<int64_t>(spec.inputs.size()), tensors.end()};
  }
};

TEST_F(CudnnTest, ComputesAttentionAndItsGradient) {
  const KernelProvider &provider = *device->provider("cudnn");
  EXPECT_EQ(provider.library(), "cuDNN 9.19.1");
  for (KernelSpec spec : {forward(), gradient()}) {
    const KernelProvider &native = nativeProvider(cpuLevel());
    std::vector<Tensor> expected =
        run(spec, *native.prepare(spec), native.workspaceBytes(spec) + 64);
    size_t workspace = plannedCudnnProvider().workspaceBytes(spec);
    spec.attributes.set("workspace_bytes", static_cast<int64_t>(workspace));
    ASSERT_EQ(provider.whyNot(spec), std::nullopt);
    EXPECT_EQ(provider.workspaceBytes(spec), workspace);
    std::vector<Tensor> found = run(spec, *provider.prepare(spec), workspace);
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i)
      EXPECT_EQ(found[i].bytes, expected[i].bytes) << spec.name << ", " << i;
  }
}

TEST_F(CudnnTest, SaysWhyNot) {
  const KernelProvider &provider = *device->provider("cudnn");
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

TEST_F(CudnnTest, RefusesOperandsThatAreNotAligned) {
  KernelSpec spec = forward();
  size_t workspace = plannedCudnnProvider().workspaceBytes(spec);
  spec.attributes.set("workspace_bytes", static_cast<int64_t>(workspace));
  std::unique_ptr<Kernel> kernel = device->provider("cudnn")->prepare(spec);
  std::unique_ptr<Arena> arena = device->arena(Space::Device, 1 << 16);
  void *inputs[] = {arena->data(), arena->data() + 8, arena->data()};
  void *outputs[] = {arena->data(), arena->data()};
  kernel->run({inputs, outputs, arena->data()});
  EXPECT_EQ(messageOf([&] { device->throwIfFailed(); }),
            "an operand of attention is not aligned to 16 bytes");
}

} // namespace
