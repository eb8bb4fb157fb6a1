//===- CudnnPlanTest.cpp - what the real cuDNN says to what plans ask for ---------------------===//
//
// Without a GPU: cuDNN builds graphs for described ones. Where it is not installed, nothing is
// tested.
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/kernels/Providers.h"
#include "runtime/kernels/Require.h"
#include "runtime/kernels/cuda/Conv.h"
#include "runtime/kernels/cuda/CudnnStored.h"
#include "runtime/plan/Error.h"
#include "runtime/plan/Types.h"
#include "test/unit/kernels/ConvolutionTesting.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cmath>
#include <fstream>

using namespace deepshard::runtime;
using namespace deepshard::runtime::cuda;
using namespace deepshard::runtime::test;

namespace {

constexpr const char *kChips[] = {"sm_80", "sm_90", "sm_100"};

CudnnTarget targetOf(const char *chip) { return {describedGpu(chip).value(), nullptr}; }

/// The letters of graph.attention; as it lies in [b, s, h, d] or row-major.
struct Shape {
  int64_t b, h, g, s, t, d;
  bool isCausal, isMerged;
  DType type = DType::BF16;
};

TensorDesc tensor(const Shape &shape, int64_t heads, int64_t length) {
  TensorDesc desc = TensorDesc::contiguous(shape.type, {shape.b, heads, length, shape.d});
  if (shape.isMerged)
    desc.strides = {length * heads * shape.d, shape.d, heads * shape.d, 1};
  return desc;
}

KernelSpec specOf(const Shape &shape, bool isGrad) {
  TensorDesc q = tensor(shape, shape.h, shape.s), k = tensor(shape, shape.g, shape.t),
             lse = TensorDesc::contiguous(DType::F32, {shape.b, shape.h, shape.s});
  Attributes attributes = {{"scale", 0.125}, {"causal", shape.isCausal}};
  if (isGrad)
    return {"attention_grad", {q, q, k, k, q, lse}, {q, k, k}, attributes};
  return {"attention", {q, k, k}, {q, lse}, attributes};
}

/// All that the formula of the workspace depends on: sizes that are no multiples of tiles, shared
/// heads, both masks, lengths that differ, head sizes from 8 to 128.
const std::vector<Shape> kShapes = {
    {8, 12, 12, 1024, 1024, 64, true, true},
    {4, 16, 16, 2048, 2048, 128, true, true, DType::F16},
    {2, 8, 1, 130, 130, 40, true, false},
    {2, 4, 2, 8, 700, 128, false, true},
    {2, 4, 4, 190, 40, 8, false, true, DType::F16},
    {2, 4, 4, 3, 200, 96, true, true},
};

/// Patches and layers of vision models, downsampling, depthwise, groups, holes, padding on one
/// side, one and three spatial dimensions.
std::vector<ConvolutionProblem> convolutions() {
  auto square = [](const WindowDim &dim) { return std::vector<WindowDim>{dim, dim}; };
  std::vector<ConvolutionProblem> problems = {
      {64, 1, 3, 768, square({224, 16, 16, 0, 0, 1})},
      {8, 1, 3, 1024, square({224, 14, 14, 0, 0, 1})},
      {32, 1, 3, 64, square({224, 7, 2, 3, 3, 1})},
      {32, 1, 64, 64, square({56, 3, 1, 1, 1, 1})},
      {32, 1, 256, 512, square({56, 1, 2, 0, 0, 1})},
      {32, 96, 1, 1, square({56, 7, 1, 3, 3, 1})},
      {8, 32, 4, 4, square({56, 3, 1, 1, 1, 1})},
      {4, 1, 16, 24, square({30, 3, 1, 2, 2, 2})},
      {4, 1, 16, 24, {{29, 3, 1, 0, 1, 1}, {31, 2, 1, 1, 0, 1}}},
      {16, 1, 80, 768, {{3000, 3, 1, 1, 1, 1}}},
      {2, 1, 4, 8, {{9, 2, 2, 1, 0, 1}, {10, 3, 1, 0, 0, 1}, {11, 1, 1, 0, 0, 1}}}};
  Random random(3);
  for (int round = 0; round < 12; ++round)
    problems.push_back(randomConvolution(random));
  return problems;
}

/// The convolution and its gradients, that of the weight also in f32.
std::vector<KernelSpec> specsOf(const ConvolutionProblem &problem, DType type) {
  auto of = [](DType dtype, const Sizes &shape) { return TensorDesc::contiguous(dtype, shape); };
  const TensorDesc x = of(type, problem.x()), weight = of(type, problem.weight()),
                   y = of(type, problem.y());
  const Attributes attributes = problem.attributes();
  std::vector<KernelSpec> specs = {{"convolution", {x, weight}, {y}, attributes},
                                   {"convolution_input_grad", {y, weight}, {x}, attributes},
                                   {"convolution_weight_grad", {y, x}, {weight}, attributes}};
  if (type != DType::F32)
    specs.push_back(
        {"convolution_weight_grad", {y, x}, {of(DType::F32, problem.weight())}, attributes});
  return specs;
}

struct CudnnPlanTest : testing::Test {
  std::optional<CudnnLibrary> cudnn;
  const KernelProvider &planned = plannedCudnnProvider();

  void SetUp() override {
    ASSERT_NE(::dlopen(DEEPSHARD_NULL_DRIVER, RTLD_NOW | RTLD_GLOBAL), nullptr) << ::dlerror();
    try {
      cudnn.emplace(DEEPSHARD_NVIDIA_LIBRARIES);
    } catch (const Error &error) {
      GTEST_SKIP() << error.what();
    }
  }
};

TEST_F(CudnnPlanTest, TakesAttentionWithTheWorkspaceThatIsPlanned) {
  for (const Shape &shape : kShapes)
    for (bool isGrad : {false, true})
      for (const char *chip : kChips) {
        KernelSpec spec = specOf(shape, isGrad);
        ASSERT_EQ(planned.whyNot(spec), std::nullopt);
        std::string what = fmt::format("{} {} of {} x {} queries on {}", cudnn->version(),
                                       spec.name, shape.b, shape.s, chip);
        uint64_t needed = buildGraph(*cudnn, targetOf(chip), spec)->workspaceBytes();
        EXPECT_LE(needed, planned.workspaceBytes(spec)) << what;
      }
}

/// Every window on every GPU, in all types.
TEST_F(CudnnPlanTest, TakesConvolutionsWithTheWorkspaceThatIsPlanned) {
  for (const ConvolutionProblem &problem : convolutions())
    for (DType type : {DType::F32, DType::BF16, DType::F16})
      for (KernelSpec spec : specsOf(problem, type)) {
        ASSERT_EQ(planned.whyNot(spec), std::nullopt);
        spec.attributes.set("workspace_bytes", static_cast<int64_t>(planned.workspaceBytes(spec)));
        const KernelSpec call = convCall(spec);
        const auto given = static_cast<uint64_t>(call.attributes.integer("workspace_bytes"));
        for (const char *chip : kChips)
          EXPECT_LE(buildGraph(*cudnn, targetOf(chip), call)->workspaceBytes(), given)
              << fmt::format("{} {} of {} to {} on {}", cudnn->version(), spec.name,
                             textOf(spec.inputs[0]), textOf(spec.outputs[0]), chip);
      }
}

/// A workspace of nothing leaves kernels too: that of the plan decides about speed alone.
TEST_F(CudnnPlanTest, TakesConvolutionsWithoutWorkspace) {
  for (KernelSpec spec : specsOf(convolutions()[3], DType::BF16)) {
    spec.attributes.set("workspace_bytes", static_cast<int64_t>(convWorkspace(spec).copiedBytes()));
    for (const char *chip : kChips)
      EXPECT_EQ(buildGraph(*cudnn, targetOf(chip), convCall(spec))->workspaceBytes(), 0u)
          << spec.name;
  }
}

/// What ds-opt stores is taken with the workspace that it was built with, for attention, whose
/// operands are not only those of the launch, and for a convolution.
TEST_F(CudnnPlanTest, LoadsWhatItStored) {
  KernelSpec convolution = specsOf(convolutions()[3], DType::BF16)[1];
  convolution.attributes.set("workspace_bytes", int64_t{1} << 26);
  for (const KernelSpec &spec : {specOf(kShapes[0], false), specOf(kShapes[0], true), convolution})
    for (const char *chip : kChips) {
      const StoredGraph stored = storeGraph(*cudnn, targetOf(chip), spec);
      const StoredGraph read = storedGraph(schemaGraph(stored)); // as from a plan file
      EXPECT_EQ(loadGraph(*cudnn, targetOf(chip), read)->workspaceBytes(),
                buildGraph(*cudnn, targetOf(chip), spec)->workspaceBytes())
          << spec.name << " on " << chip;
      EXPECT_EQ(stored.scalars.empty(), spec.name == "convolution_input_grad");
      for (const StoredGraph::Scalar &scalar : stored.scalars)
        EXPECT_TRUE(scalar.value == 0.125f || scalar.value == 1 || scalar.value == -HUGE_VALF)
            << scalar.value;
    }
}

/// The graphs of the plan are those of another attention, so that it shows which was taken.
TEST_F(CudnnPlanTest, BuildsWhatIsForOthers) {
  const CudnnTarget target = targetOf("sm_90");
  KernelSpec spec = specOf(kShapes[1], true);
  spec.attributes.set("graph", int64_t{0});
  const StoredGraph fitting = storeGraph(*cudnn, target, specOf(kShapes[0], true));
  auto bytesWith = [&](const StoredGraph &graph) {
    return loadOrBuildGraph(*cudnn, target, spec, {graph})->workspaceBytes();
  };
  const uint64_t built = buildGraph(*cudnn, target, spec)->workspaceBytes();
  ASSERT_NE(bytesWith(fitting), built);
  StoredGraph other = fitting;
  other.library = "cuDNN 9.18.0";
  EXPECT_EQ(bytesWith(other), built);
  other = fitting;
  other.gpu = textOf(describedGpu("sm_80").value());
  EXPECT_EQ(bytesWith(other), built);
  // cuDNN itself refuses what it wrote for another chip, and half of a plan.
  other = storeGraph(*cudnn, targetOf("sm_80"), specOf(kShapes[0], true));
  EXPECT_THROW((void)loadGraph(*cudnn, target, other), std::invalid_argument);
  other.gpu = fitting.gpu;
  EXPECT_EQ(bytesWith(other), built);
  other = fitting;
  other.plan.resize(other.plan.size() / 2);
  EXPECT_EQ(bytesWith(other), built);
}

/// A second CUDA runtime is not asked for anything.
TEST_F(CudnnPlanTest, OpensNoRuntime) {
  (void)buildGraph(*cudnn, targetOf("sm_90"), specOf(kShapes[0], false));
  std::ifstream maps("/proc/self/maps");
  std::string files{std::istreambuf_iterator<char>(maps), {}};
  EXPECT_THAT(files, testing::Not(testing::HasSubstr("libcudart")));
}

} // namespace
