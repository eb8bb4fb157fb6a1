//===- RunTest.cpp - ds-run with plans for CUDA, on machines that lack something --------------===//

#include "runtime/plan/PlanFile.h"
#include "test/unit/cuda/CudaTesting.h"
#include "test/unit/executor/RankTraining.h"
#include "test/unit/runtime/RankPlans.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <sys/wait.h>

using namespace deepshard;
using namespace deepshard::runtime;
using namespace deepshard::runtime::test;
using testing::AllOf;
using testing::HasSubstr;
using testing::ResultOf;
using testing::StartsWith;

namespace {

struct CudaRunTest : testing::Test {
  TemporaryDirectory directory;
  ExecutorOptions options = writeData(directory, 8, 29);
  std::string planPath = directory.path("p.dsplan");

  /// One rank has no collectives, and needs no NCCL.
  void write(uint32_t ranks, const std::string &matmulsBy = "generated") {
    (void)fakeCuda();
    planpb::Plan plan = ranks == 1 ? linearRegression(directory.path("w"), 8, 2, 3, 0.05)
                                   : planOf({.ranks = ranks}, directory.path("w"));
    writePlan(cudaPlan(std::move(plan), matmulsBy), planPath);
  }

  /// The exit code and the output of a run of one step with these variables and nothing else.
  std::pair<int, std::string> run(const std::string &variables, const std::string &arguments = "") {
    std::string command = fmt::format(
        "env -i PATH=/usr/bin:/bin {} '{}' {} --steps 1 --data x={} --data y={} {} > '{}' 2>&1",
        variables, DS_RUN, planPath, options.data.files[0].second, options.data.files[1].second,
        arguments, directory.path("out"));
    int status = std::system(command.c_str());
    return {WEXITSTATUS(status), readFile(directory.path("out"))};
  }
};

const std::string kReal = "DEEPSHARD_CUDA_LIBRARY='" DEEPSHARD_REAL_LIBRARY "'";
const std::string kFake = "DEEPSHARD_CUDA_LIBRARY='" DEEPSHARD_FAKE_LIBRARY "'";

/// One line that says this, and nothing else.
auto isOneError(const std::string &text) {
  return AllOf(
      StartsWith("ds-run: error: "), HasSubstr(text),
      ResultOf([](const std::string &output) { return std::ranges::count(output, '\n'); }, 1));
}

TEST_F(CudaRunTest, WithoutTheLibrary) {
  write(1);
  auto [code, output] = run("DEEPSHARD_CUDA_LIBRARY=/nowhere/libds_cuda.so");
  EXPECT_EQ(code, 1);
  EXPECT_THAT(output, isOneError("DEEPSHARD_CUDA_LIBRARY: /nowhere/libds_cuda.so"));
}

TEST_F(CudaRunTest, WithoutADriver) {
  if (std::filesystem::exists("/dev/nvidiactl"))
    GTEST_SKIP() << "this machine has a driver";
  write(1);
  auto [code, output] = run(kReal);
  EXPECT_EQ(code, 1);
  EXPECT_THAT(output, isOneError("the plan is for CUDA, but this machine has no "
                                 "NVIDIA driver"));
  write(2);
  std::tie(code, output) = run(kReal);
  EXPECT_EQ(code, 1);
  EXPECT_THAT(output, isOneError("this machine has no NVIDIA driver"));
}

TEST_F(CudaRunTest, WithTooOldADriver) {
  write(1);
  auto [code, output] = run(kFake + " DEEPSHARD_FAKE_DRIVER=12040");
  EXPECT_EQ(code, 1);
  EXPECT_THAT(output, isOneError("the NVIDIA driver of this machine offers CUDA "
                                 "12.4, this DeepShard needs 13 or newer"));
}

TEST_F(CudaRunTest, WithoutNvidiasLibraries) {
  if (std::filesystem::exists("/usr/local/cuda/lib64/libcublasLt.so.13"))
    GTEST_SKIP() << "this machine has a toolkit with cuBLASLt";
  write(1, "cublaslt");
  auto [code, output] = run(kFake, "--cuda-libs " + directory.path("none"));
  EXPECT_EQ(code, 1);
  EXPECT_THAT(output, AllOf(isOneError("cuBLASLt (libcublasLt.so.13), which the plan needs, was "
                                       "found neither"),
                            HasSubstr("name its directory by --cuda-libs")));
  write(1, "cudnn");
  std::tie(code, output) = run(kFake);
  EXPECT_EQ(code, 1);
  EXPECT_THAT(output, isOneError("cuDNN (libcudnn.so.9), which the plan needs, was "
                                 "found neither"));
  std::tie(code, output) =
      run(kFake + " DEEPSHARD_FAKE_CUDNN=91700", "--cuda-libs " DEEPSHARD_FAKE_LIBRARIES);
  EXPECT_EQ(code, 1);
  EXPECT_THAT(output, isOneError("cuDNN 9.18.0 or newer is needed"));
  write(2);
  std::tie(code, output) = run(kFake + " DEEPSHARD_FAKE_DEVICES=2");
  EXPECT_EQ(code, 1);
  EXPECT_THAT(output, isOneError("NCCL (libnccl.so.2), which the plan needs, was found neither"));
  std::tie(code, output) = run(kFake + " DEEPSHARD_FAKE_DEVICES=2 DEEPSHARD_FAKE_NCCL=22703",
                               "--cuda-libs " DEEPSHARD_FAKE_LIBRARIES);
  EXPECT_EQ(code, 1);
  EXPECT_THAT(output, isOneError("NCCL 2.28 or newer is needed"));
}

/// In the folders that pip installs into; files that cannot be loaded are named.
TEST_F(CudaRunTest, LooksIntoPythonEnvironments) {
  if (std::filesystem::exists("/usr/local/cuda/lib64/libcublasLt.so.13"))
    GTEST_SKIP() << "this machine has a toolkit with cuBLASLt";
  write(1, "cublaslt");
  const std::filesystem::path prefix = directory.path("prefix");
  std::filesystem::create_directories(prefix / "bin");
  std::ofstream(prefix / "bin/python3") << "";
  for (std::string place :
       {"lib/python3.12/site-packages", "lib/python3/dist-packages",
        "local/lib/python3.12/dist-packages", ".local/lib/python3.9/site-packages"}) {
    const std::filesystem::path library = prefix / place / "nvidia/cu13/lib/libcublasLt.so.13";
    std::filesystem::create_directories(library.parent_path());
    std::ofstream(library) << "no library";
    auto [code, output] = run(fmt::format("{} PATH={}/bin:/usr/bin:/bin HOME={}", kFake,
                                          prefix.string(), prefix.string()));
    EXPECT_EQ(code, 1);
    EXPECT_THAT(output, HasSubstr(library.string() + " cannot be loaded"));
    std::filesystem::remove(library);
  }
}

/// Two ranks that sum something over and over. Without kernels of the plan, which only a test in
/// the same process can give to the fake.
struct CudaSumTest : CudaRunTest {
  CudaSumTest() {
    RankPlanBuilder b({{"data", 2}});
    planpb::View value = b.window("value", planpb::PERSISTENT, 8);
    b.call(b.segment("sum"));
    b.collective(planpb::Collective::ALL_REDUCE, wholeAxes({0}), value, value);
    b.plan.set_backend(planpb::CUDA);
    writePlan(b.plan, planPath);
  }

  std::pair<int, std::string> runSteps(const std::string &variables, const std::string &arguments) {
    std::string command = fmt::format("{} {} '{}' {} --steps 3 {} > '{}' 2>&1", kFake, variables,
                                      DS_RUN, planPath, arguments, directory.path("out"));
    int status = std::system(command.c_str());
    return {WEXITSTATUS(status), readFile(directory.path("out"))};
  }
};

TEST_F(CudaSumTest, RanksShareAGpu) {
  for (const char *arguments : {"--share-gpu", "--share-gpu --one-by-one"}) {
    auto [code, output] = runSteps("", arguments);
    EXPECT_EQ(code, 0) << output;
    EXPECT_THAT(output, HasSubstr("step 3/3"));
  }
  auto [code, output] = runSteps("", "");
  EXPECT_EQ(code, 1);
  EXPECT_THAT(output, HasSubstr("the plan has 2 ranks, this machine 1 GPU; --share-gpu"));
}

/// The message comes although CUDA would wait for the kernel before it gives memory back.
TEST_F(CudaSumTest, AKernelThatHangsEndsTheJob) {
  auto [code, output] =
      runSteps("DEEPSHARD_FAKE_HANGING=ds_reduce_f64_sum",
               "--share-gpu --timeout 1 --save-weights " + directory.path("trained"));
  EXPECT_EQ(code, static_cast<int>(ExitCode::RankFailed));
  EXPECT_THAT(output, HasSubstr("all_reduce (test): the GPU did not finish its work within 1 s"));
  for (const auto &file : std::filesystem::directory_iterator(directory.path("")))
    EXPECT_THAT(file.path().filename().string(), testing::Not(StartsWith("trained")));
}

TEST_F(CudaRunTest, CheckSaysWhatThePlanIsFor) {
  write(2);
  auto [code, output] = run("", "--check");
  EXPECT_EQ(code, 0) << output;
  EXPECT_THAT(output, HasSubstr("for CUDA (compute_80)"));
}

} // namespace
