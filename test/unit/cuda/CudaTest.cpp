//===- CudaTest.cpp - the executor on a GPU that is not there ---------------------------------===//

#include "runtime/checkpoint/SafeTensors.h"
#include "runtime/plan/Checker.h"
#include "runtime/plan/SharedObject.h"
#include "runtime/plan/Types.h"
#include "test/unit/cuda/CudaTesting.h"
#include "test/unit/executor/RankTraining.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

using namespace deepshard;
using namespace deepshard::runtime;
using namespace deepshard::runtime::test;
using testing::AllOf;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

constexpr uint32_t kFeatures = 8;

struct CudaTest : testing::Test {
  TemporaryDirectory directory;
  ExecutorOptions options = writeData(directory, kFeatures, 29);
  FakeCuda &fake = fakeCuda();

  CudaTest() {
    options.ranksShareGpu = true;
    fake.reset({});
  }
  ~CudaTest() override { EXPECT_EQ(fake.alive(), 0); }

  planpb::Plan cpuPlan() const {
    return linearRegression(directory.path("w"), kFeatures, 3, 4, 0.05);
  }

  Outcome train(const planpb::Plan &plan, int steps) {
    return runOnThreads(plan, options, steps, directory.path("out.safetensors"));
  }

  std::string message(const planpb::Plan &plan) {
    return messageOf([&] { Executor executor(plan, options); });
  }
};

TEST_F(CudaTest, OneRankGivesTheBitsOfTheCpu) {
  Outcome cpu = train(cpuPlan(), 6);
  for (uint32_t seed : {1, 2, 3}) {
    fake.reset({.seed = seed});
    Outcome gpu = train(cudaPlan(cpuPlan()), 6);
    EXPECT_EQ(gpu.losses, cpu.losses);
    EXPECT_EQ(gpu.weights, cpu.weights);
  }
}

TEST_F(CudaTest, RanksThatShareAGpuGiveTheBitsOfTheCpu) {
  for (uint32_t ranks : {1, 2, 4})
    for (Zero zero : {Zero::Nothing, Zero::Update, Zero::Parameters}) {
      planpb::Plan plan = planOf({.zero = zero, .ranks = ranks}, directory.path("w"));
      Outcome cpu = train(plan, 5);
      for (uint32_t seed : {1, 2}) {
        fake.reset({.seed = seed});
        Outcome gpu = train(cudaPlan(plan), 5);
        EXPECT_EQ(gpu.losses, cpu.losses);
        EXPECT_EQ(gpu.weights, cpu.weights);
      }
    }
}

/// What a step issues one by one, by the plan alone; `isCaptured`: without what comes from the
/// host.
std::vector<std::string> issuedBy(const planpb::Segment &segment, const planpb::Program &program,
                                  bool isCaptured) {
  std::vector<std::string> log;
  for (size_t i = 0; !isCaptured && i < static_cast<size_t>(program.run_state_size()); ++i)
    log.push_back("copy 8 @0");
  for (const planpb::Task &task : segment.tasks()) {
    if (task.has_feed() && isCaptured)
      continue;
    std::string text;
    if (task.has_launch())
      text = fmt::format("launch {}_0", task.launch().kernel());
    else if (task.has_feed())
      text = fmt::format("copy {}", task.feed().view().shape(0) * 8 *
                                        (task.feed().view().shape_size() == 2 ? kFeatures : 1));
    log.push_back(fmt::format("{} @{}", text, task.stream()));
  }
  return log;
}

TEST_F(CudaTest, IssuesThePlanInOrderThenCapturesItOnce) {
  planpb::Plan plan = cudaPlan(cpuPlan());
  const planpb::Program &program = plan.programs(0);
  Executor executor(plan, options);
  (void)fake.takeLog();
  std::vector<std::string> eager, second, third;
  std::set<uint32_t> captured;
  for (const planpb::SegmentCall &call : program.schedule()) {
    const planpb::Segment &segment = program.segments(static_cast<int>(call.segment()));
    for (const std::string &line : issuedBy(segment, program, false)) {
      eager.push_back(line);
      if (line.starts_with("copy"))
        third.push_back(line);
    }
    third.push_back("graph @0");
    if (!captured.insert(call.segment()).second)
      continue;
    second.push_back("begin");
    second.push_back("record 1 @0"); // of the only stream; nobody waits for it
    for (const std::string &line : issuedBy(segment, program, true))
      second.push_back(line);
    second.push_back("end");
  }
  second.insert(second.end(), third.begin(), third.end());
  executor.step();
  EXPECT_THAT(fake.takeLog(), ElementsAreArray(eager));
  executor.step();
  EXPECT_THAT(fake.takeLog(), ElementsAreArray(second));
  executor.step();
  EXPECT_THAT(fake.takeLog(), ElementsAreArray(third));
}

TEST_F(CudaTest, EachCallThatFailsEndsInAMessage) {
  planpb::Plan plan = planOf({.zero = Zero::Nothing, .ranks = 1}, directory.path("w"));
  planpb::Plan gpu = cudaPlan(plan);
  auto run = [&] {
    Executor executor(gpu, options);
    for (int i = 0; i < 3; ++i)
      executor.step();
    executor.saveWeights(directory.path("out.safetensors"));
  };
  run();
  uint64_t calls = fake.calls();
  EXPECT_GT(calls, 100u);
  std::set<std::string> failed;
  for (uint64_t n = 1; n <= calls; ++n) {
    fake.reset({.failAt = n});
    gpu = cudaPlan(plan); // the kernels again
    std::string text = messageOf(run);
    ASSERT_NE(fake.failed(), "") << n;
    EXPECT_EQ(fake.alive(), 0) << fake.failed();
    EXPECT_TRUE(text.find(fake.failed()) != std::string::npos ||
                text.find("memory") != std::string::npos)
        << fake.failed() << ": " << text;
    failed.insert(fake.failed());
  }
  EXPECT_TRUE(failed.contains("cudaGraphLaunch") && failed.contains("cudaLaunchKernelExC"));
}

TEST_F(CudaTest, AFailureInAStepNamesTheTask) {
  planpb::Plan plan = cudaPlan(cpuPlan());
  uint64_t calls = 0;
  {
    Executor executor(plan, options);
    calls = fake.calls();
  }
  // The first step writes a run state, then launches the zeros.
  fake.reset({.failAt = calls + 2});
  plan = cudaPlan(cpuPlan());
  Executor executor(plan, options);
  std::string text = messageOf([&] { executor.step(); });
  EXPECT_EQ(text, "step 1, micro-batch 0, k0 (test): cudaLaunchKernelExC: made to fail "
                  "(cudaErrorUnknown)");
}

TEST_F(CudaTest, AFaultOfAKernelIsFoundAtTheEndOfTheStepOrOneByOne) {
  auto run = [&](bool oneByOne) {
    fake.reset({.faulty = "k3_0"});
    planpb::Plan plan = cudaPlan(cpuPlan());
    options.oneByOne = oneByOne;
    return messageOf([&] {
      Executor executor(plan, options);
      executor.step();
    });
  };
  EXPECT_EQ(run(false), "step 1, stream compute: cudaStreamQuery: an illegal memory access "
                        "(another error)");
  EXPECT_EQ(run(true), "step 1, micro-batch 0, k3 (test): cudaStreamQuery: an illegal memory "
                       "access (another error)");
}

TEST_F(CudaTest, OneByOneGivesTheSameBits) {
  Outcome cpu = train(cpuPlan(), 3);
  options.oneByOne = true;
  Outcome gpu = train(cudaPlan(cpuPlan()), 3);
  EXPECT_EQ(gpu.losses, cpu.losses);
  EXPECT_THAT(fake.takeLog(), testing::Not(testing::Contains("begin")));
}

TEST_F(CudaTest, SaysWhatIsMissing) {
  planpb::Plan plan = cudaPlan(cpuPlan());
  auto with = [&](const FakeSettings &settings) {
    fake.reset(settings);
    plan = cudaPlan(cpuPlan());
    return message(plan);
  };
  EXPECT_THAT(with({.driver = 0}), HasSubstr("this machine has no NVIDIA driver"));
  EXPECT_THAT(with({.driver = 12040}),
              HasSubstr("offers CUDA 12.4, this DeepShard needs 13 or newer"));
  EXPECT_THAT(with({.devices = 0}), HasSubstr("the NVIDIA driver finds no GPU"));
  EXPECT_THAT(with({.capability = 75}),
              HasSubstr("the plan has device code for compute_80, this GPU is sm_75"));
}

TEST_F(CudaTest, TasksAreTimedByTheDevice) {
  options.profile = options.recordTimeline = true;
  Executor executor(cudaPlan(cpuPlan()), options);
  for (int i = 0; i < 3; ++i)
    executor.step();
  // Of the two events around it a task has one, and every event takes a millisecond.
  EXPECT_THAT(executor.profile()->text({}), testing::ContainsRegex(" 1\\.00 +[0-9.]+ +1 "));
  std::string spans;
  executor.timeline()->write([&](const std::string &text) { spans += text; });
  for (const char *part : {"\"name\":\"k12\"", "\"dur\":1000.0,"})
    EXPECT_NE(spans.find(part), std::string::npos) << part;
}

/// The only memory of the GPU that is allocated is that of the plan, before the first step.
TEST_F(CudaTest, TakesTheMemoryThatIsPlanned) {
  planpb::Plan plan = cudaPlan(planOf({.zero = Zero::Update, .ranks = 1}, directory.path("w")));
  uint64_t planned = 0, blocks = 0, count = 0;
  for (const planpb::Arena &arena : plan.programs(0).arenas()) {
    constexpr uint64_t kBlock = 2 << 20;
    planned += arena.bytes();
    blocks += (arena.bytes() + kBlock - 1) / kBlock * kBlock;
    count += arena.bytes() > 0 ? 1 : 0;
  }
  Executor executor(plan, options);
  const uint64_t allocations = fake.callsByName()["cudaMalloc"];
  for (int i = 0; i < 3; ++i)
    executor.step();
  EXPECT_EQ(fake.callsByName()["cudaMalloc"], allocations);
  const DeviceBytes bytes = *executor.deviceBytes();
  EXPECT_GT(count, 1u);
  EXPECT_EQ(bytes.count, count);
  EXPECT_EQ(bytes.arenas, planned);
  EXPECT_EQ(bytes.arenas, executor.plannedBytes());
  EXPECT_EQ(bytes.arenasTook, blocks);
  EXPECT_EQ(bytes.before, 0u);
  EXPECT_EQ(bytes.taken, blocks);
}

TEST_F(CudaTest, RefusesKernelsThatItDoesNotHave) {
  planpb::Plan plan = cudaPlan(cpuPlan());
  plan.mutable_programs(0)->mutable_segments(0)->mutable_tasks(0)->mutable_launch()->set_provider(
      "native");
  EXPECT_THAT(message(plan), HasSubstr("this ds-run has no kernel provider native"));
}

TEST_F(CudaTest, CheckerFindsTheFunctionsOfACubin) {
  planpb::Plan plan = cudaPlan(cpuPlan());
  std::string cubin = readFile(DEEPSHARD_CUBIN);
  SharedObject object = readCubin(cubin);
  EXPECT_EQ(object.fault, "");
  EXPECT_TRUE(object.functions.contains("ds_copy_16"));
  EXPECT_TRUE(object.functions.contains("ds_reduce_bf16_max"));
  EXPECT_FALSE(object.functions.contains("k0_0"));
  EXPECT_NE(readSharedObject(cubin).fault, "");
  planpb::DeviceCode &code = *plan.add_device_code();
  code.set_target("sm_80");
  code.set_image(cubin);
  EXPECT_THAT(checkPlan(plan).front(), HasSubstr("the device code for sm_80 has no function k0_0"));
  code.set_image(cubin.substr(0, cubin.size() / 2));
  EXPECT_THAT(checkPlan(plan).front(), HasSubstr("device code for sm_80: is no cubin: it ends"));
}

TEST_F(CudaTest, CheckerKeepsTheRulesOfCuda) {
  planpb::Plan sound = cudaPlan(cpuPlan());
  EXPECT_THAT(checkPlan(sound), IsEmpty());
  auto faultOf = [&](const std::function<void(planpb::Plan &)> &change) {
    planpb::Plan plan = sound;
    change(plan);
    return fmt::format("{}", fmt::join(checkPlan(plan), "\n"));
  };
  auto launch = [](planpb::Plan &plan) -> planpb::Launch & {
    return *plan.mutable_programs(0)->mutable_segments(0)->mutable_tasks(0)->mutable_launch();
  };
  EXPECT_THAT(faultOf([&](planpb::Plan &plan) { launch(plan).set_kernel("other"); }),
              HasSubstr("has no function other_0"));
  EXPECT_THAT(
      faultOf([&](planpb::Plan &plan) { launch(plan).mutable_attributes()->erase("grid"); }),
      HasSubstr("three numbers of grid and of block"));
  EXPECT_THAT(faultOf([](planpb::Plan &plan) { plan.clear_device_code(); }),
              HasSubstr("the plan has no device code"));
  EXPECT_THAT(faultOf([](planpb::Plan &plan) { plan.mutable_device_code(0)->set_target("sm_80"); }),
              HasSubstr("device code for sm_80: is no cubin"));
  EXPECT_THAT(
      faultOf([](planpb::Plan &plan) { plan.mutable_device_code(0)->set_target("gfx90a"); }),
      HasSubstr("expected sm_NN or compute_NN"));
  EXPECT_THAT(faultOf([](planpb::Plan &plan) {
                planpb::Segment &micro = *plan.mutable_programs(0)->mutable_segments(1);
                micro.mutable_tasks()->SwapElements(1, 2);
                micro.mutable_tasks()->SwapElements(0, 1);
              }),
              HasSubstr("a feed comes before all other tasks"));
  EXPECT_THAT(faultOf([&](planpb::Plan &plan) {
                launch(plan).set_provider("cudnn");
                (*launch(plan).mutable_attributes())["graph"].set_integer(1);
                plan.add_library_graphs();
              }),
              HasSubstr("names no graph of the plan's 1"));
  EXPECT_THAT(faultOf([](planpb::Plan &plan) {
                plan.mutable_programs(0)->mutable_arenas(0)->set_space(planpb::DISK);
              }),
              HasSubstr("arena 0 is on disk"));
}

} // namespace
