//===- NcclTest.cpp - ranks with a GPU each, which are not there ------------------------------===//

#include "test/unit/cuda/CudaTesting.h"
#include "test/unit/executor/RankTraining.h"
#include "test/unit/runtime/RankPlans.h"

#include <atomic>
#include <cstdlib>
#include <set>
#include <thread>

using namespace deepshard;
using namespace deepshard::runtime;
using namespace deepshard::runtime::test;
using testing::HasSubstr;

namespace {

struct NcclTest : testing::Test {
  TemporaryDirectory directory;
  ExecutorOptions options = writeData(directory, 8, 29);
  FakeCuda &fake = fakeCuda();

  NcclTest() {
    options.cudaLibraries = DEEPSHARD_FAKE_LIBRARIES;
    fake.reset({.devices = 8});
  }
  ~NcclTest() override { EXPECT_EQ(fake.alive(), 0); }

  Outcome train(const planpb::Plan &plan, int steps) {
    return runOnThreads(plan, options, steps, directory.path("out.safetensors"));
  }
};

TEST_F(NcclTest, RanksGiveTheBitsOfTheCpu) {
  for (uint32_t ranks : {2, 4})
    for (Zero zero : {Zero::Nothing, Zero::Update, Zero::Parameters}) {
      planpb::Plan plan = planOf({.zero = zero, .ranks = ranks}, directory.path("w"));
      Outcome cpu = train(plan, 5);
      for (uint32_t seed : {1, 2}) {
        fake.reset({.devices = 8, .seed = seed});
        Outcome gpu = train(cudaPlan(plan), 5);
        EXPECT_EQ(gpu.losses, cpu.losses);
        EXPECT_EQ(gpu.weights, cpu.weights);
      }
    }
}

/// Groups of one rank: what `./dev gpu-test` runs on a machine with one GPU.
TEST_F(NcclTest, OneRankMeetsItself) {
  for (Zero zero : {Zero::Nothing, Zero::Update, Zero::Parameters}) {
    planpb::Plan plan = planOf({.zero = zero, .ranks = 1}, directory.path("w"));
    Outcome cpu = train(plan, 3);
    fake.reset({.devices = 1});
    Outcome gpu = train(cudaPlan(plan), 3);
    EXPECT_GT(fake.callsByName()["ncclCommInitRankConfig"], 0u);
    EXPECT_EQ(gpu.losses, cpu.losses);
    EXPECT_EQ(gpu.weights, cpu.weights);
  }
}

TEST_F(NcclTest, SaysWhatIsMissing) {
  planpb::Plan plan = cudaPlan(planOf({.ranks = 2}, directory.path("w")));
  ::setenv("DEEPSHARD_FAKE_NCCL", "22703", 1);
  EXPECT_THAT(messageOf([&] { train(plan, 1); }), HasSubstr("NCCL 2.28 or newer is needed"));
  ::unsetenv("DEEPSHARD_FAKE_NCCL");
  fake.reset({.devices = 1});
  plan = cudaPlan(planOf({.ranks = 2}, directory.path("w")));
  EXPECT_THAT(messageOf([&] { train(plan, 1); }),
              HasSubstr("the plan has 2 ranks, this machine 1 GPU; --share-gpu"));
}

/// Runs a rank of two that steps until it fails; rank 1 does so after one step, in the manner of
/// `leave`. Returns the message of rank 0.
template <typename Leave>
std::string messageOfRank0(const planpb::Plan &plan, const ExecutorOptions &options, World &world,
                           const Leave &leave) {
  std::string message;
  std::atomic<bool> isOver = false;
  std::jthread other([&] {
    Executor executor(plan, options, &world, 1);
    executor.step();
    leave();
    isOver.wait(false);
  });
  try {
    Executor executor(plan, options, &world, 0);
    for (int i = 0; i < 2; ++i)
      executor.step();
  } catch (const Error &error) {
    message = error.what();
    EXPECT_EQ(error.code(), ExitCode::RankFailed);
  }
  isOver = true;
  isOver.notify_one();
  return message;
}

TEST_F(NcclTest, ARankThatWaitsIsEnded) {
  planpb::Plan plan = cudaPlan(planOf({.ranks = 2}, directory.path("w")));
  {
    World world(2, jobWindowBytes(plan), std::chrono::seconds(60));
    EXPECT_THAT(messageOfRank0(plan, options, world, [&] { world.abort(1, "it is tired"); }),
                HasSubstr("step 2, stream compute, with stream comm in or behind all_reduce "
                          "(test): the job was ended by "
                          "rank 1: it is tired"));
  }
  World world(2, jobWindowBytes(plan), std::chrono::seconds(2));
  EXPECT_THAT(messageOfRank0(plan, options, world, [] {}),
              HasSubstr("step 2, stream compute, with stream comm in or behind all_reduce (test): "
                        "the GPU did not finish "
                        "its work within 2 s"));
}

/// What one rank cannot do ends the other too, but for what happens when both leave.
TEST_F(NcclTest, EachCallThatFailsEndsAllRanks) {
  planpb::Plan plan = planOf({.zero = Zero::Update, .ranks = 2}, directory.path("w"));
  train(cudaPlan(plan), 3);
  std::set<std::string> failed;
  // By name: which call has which number differs from run to run, as ranks take turns as they like
  // and ask more or less often whether something has happened.
  std::vector<std::pair<std::string, uint64_t>> calls;
  for (const auto &[name, count] : fake.callsByName())
    for (uint64_t n : std::set<uint64_t>{1, count / 2, count})
      calls.emplace_back(name, n);
  for (const auto &[name, n] : calls) {
    SCOPED_TRACE(name + " " + std::to_string(n));
    fake.reset({.devices = 8, .failAt = n, .failing = name});
    planpb::Plan gpu = cudaPlan(plan);
    try {
      train(gpu, 3);
      EXPECT_THAT(fake.failed(), testing::AnyOf("", "ncclCommFinalize", "ncclCommGetAsyncError"));
    } catch (const Error &error) {
      EXPECT_THAT(error.what(), HasSubstr("rank "));
      failed.insert(fake.failed());
    }
    EXPECT_EQ(fake.alive(), 0) << fake.failed();
  }
  EXPECT_GE(failed.size(), 10u);
}

} // namespace
