//===- CudnnPlanTest.cpp - what the real cuDNN says to what plans ask for ---------------------===//
//
// Without a GPU: cuDNN builds graphs for described ones. Where it is not installed, nothing is
// tested.
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/kernels/Providers.h"
#include "runtime/kernels/cuda/CudnnGraph.h"
#include "runtime/plan/Error.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <fstream>

using namespace deepshard::runtime;
using namespace deepshard::runtime::cuda;

namespace {

/// What cuDNN's plans depend on; from NVIDIA's published figures.
struct Gpu {
  int capability, processors, sharedBytes;
};

constexpr Gpu kA100 = {80, 108, 166912}, kH100 = {90, 132, 232448}, kB200 = {100, 148, 232448};

CudnnTarget targetOf(const Gpu &gpu) {
  return {nullptr, gpu.capability,
          fmt::format(
              R"({{"cudaDeviceId":0,"deviceVer":{},"driverVer":13000,"totalGlobalMem":85899345920,)"
              R"("maxGridSize":[2147483647,65535,65535],"maxBlockSize":[1024,1024,64],)"
              R"("regsPerBlock":65536,"multiProcessorCount":{},"warpSize":32,)"
              R"("maxSharedMemoryPerBlock":49152,"maxSharedMemoryPerBlockOptin":{},)"
              R"("reservedSharedMemoryPerBlock":1024,"maxRegistersPerSM":65536,"maxCtasPerSM":32,)"
              R"("maxThreadsPerBlock":1024,"maxThreadsPerSM":2048,"pciDeviceId":0,"isTccDriver":0,)"
              R"("supportCoopLaunch":1,"smClockRateKHz":1500000,"memClockRateKHz":2000000,)"
              R"("l2CacheSize":41943040,"deviceName":"GPU"}})",
              gpu.capability * 10, gpu.processors, gpu.sharedBytes)};
}

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

TEST(CudnnPlanTest, TakesWhatIsPlannedWithTheWorkspaceThatIsPlanned) {
  ASSERT_NE(::dlopen(DEEPSHARD_NULL_DRIVER, RTLD_NOW | RTLD_GLOBAL), nullptr) << ::dlerror();
  std::optional<CudnnLibrary> cudnn;
  try {
    cudnn.emplace(DEEPSHARD_NVIDIA_LIBRARIES);
  } catch (const Error &error) {
    GTEST_SKIP() << error.what();
  }
  const KernelProvider &planned = plannedCudnnProvider();
  for (const Shape &shape : kShapes)
    for (bool isGrad : {false, true})
      for (const Gpu &gpu : {kA100, kH100, kB200}) {
        KernelSpec spec = specOf(shape, isGrad);
        ASSERT_EQ(planned.whyNot(spec), std::nullopt);
        std::string what = fmt::format("{} {} of {} x {} queries on sm_{}", cudnn->version(),
                                       spec.name, shape.b, shape.s, gpu.capability);
        uint64_t needed = buildSdpaGraph(*cudnn, targetOf(gpu), spec)->workspaceBytes();
        EXPECT_LE(needed, planned.workspaceBytes(spec)) << what;
      }
  // A second CUDA runtime is not asked for anything.
  std::ifstream maps("/proc/self/maps");
  std::string files{std::istreambuf_iterator<char>(maps), {}};
  EXPECT_THAT(files, testing::Not(testing::HasSubstr("libcudart")));
}

} // namespace
