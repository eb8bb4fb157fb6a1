//===- ExecutorTest.cpp - a small plan trained end to end -------------------------------------===//

#include "runtime/executor/Executor.h"

#include "runtime/checkpoint/SafeTensors.h"
#include "runtime/kernels/CpuLevel.h"
#include "test/unit/runtime/PlanBuilder.h"

#include <fmt/format.h>

#include <cmath>

using namespace deepshard;
using namespace deepshard::runtime;
using namespace deepshard::runtime::test;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

namespace {

constexpr uint32_t kFeatures = 5;
constexpr uint32_t kMicroBatch = 3;
constexpr uint32_t kAccumulation = 4;
constexpr size_t kSamples = 29; // not a multiple of the global batch: batches wrap
constexpr double kRate = 0.05;

struct ExecutorTest : testing::Test {
  TemporaryDirectory directory;
  std::vector<double> x, y, start;
  planpb::Plan plan;
  ExecutorOptions options;

  ExecutorTest() {
    for (size_t i = 0; i < kSamples * kFeatures; ++i)
      x.push_back(std::sin(1.7 * static_cast<double>(i)));
    for (size_t i = 0; i < kSamples; ++i)
      y.push_back(std::cos(0.9 * static_cast<double>(i)));
    for (size_t i = 0; i < kFeatures; ++i)
      start.push_back(0.1 * static_cast<double>(i));
    writeFile(directory.path("x.bin"), bytesOf(x));
    writeFile(directory.path("y.bin"), bytesOf(y));
    writeFile(directory.path("w"), bytesOf(start));
    plan = linearRegression(directory.path("w"), kFeatures, kMicroBatch, kAccumulation, kRate);
    options.data.files = {{"x", directory.path("x.bin") + ":float64"},
                          {"y", directory.path("y.bin") + ":float64"}};
    options.data.shuffle = false;
  }

  /// Gradient descent by plain loops: losses of `steps` steps, `weight` is updated.
  std::vector<double> train(std::vector<double> &weight, size_t steps) const {
    constexpr size_t kBatch = size_t{kMicroBatch} * kAccumulation;
    std::vector<double> losses;
    for (size_t step = 0; step < steps; ++step) {
      double loss = 0;
      std::vector<double> gradient(kFeatures, 0);
      for (size_t i = 0; i < kBatch; ++i) {
        size_t sample = (step * kBatch + i) % kSamples;
        double error = -y[sample];
        for (size_t j = 0; j < kFeatures; ++j)
          error += x[sample * kFeatures + j] * weight[j];
        loss += error * error / kBatch;
        for (size_t j = 0; j < kFeatures; ++j)
          gradient[j] += 2 * error * x[sample * kFeatures + j] / kBatch;
      }
      for (size_t j = 0; j < kFeatures; ++j)
        weight[j] -= kRate * gradient[j];
      losses.push_back(loss);
    }
    return losses;
  }

  std::vector<double> savedWeight(const Executor &executor) const {
    std::string path = directory.path("out.safetensors");
    executor.saveWeights(path);
    SafeTensorsFile file(path);
    std::vector<double> weight(kFeatures);
    file.file().read(file.find("weight")->offset, weight.data(), kFeatures * sizeof(double));
    return weight;
  }

  std::string message() {
    return messageOf([&] { Executor executor(plan, options); });
  }
};

TEST_F(ExecutorTest, TrainsLikePlainLoops) {
  Executor executor(plan, options);
  EXPECT_EQ(executor.samples(), kSamples);
  std::vector<double> weight = start;
  std::vector<double> losses = train(weight, 20);
  for (size_t i = 0; i < losses.size(); ++i) {
    const StepResult &result = executor.step();
    EXPECT_EQ(result.step, i + 1);
    EXPECT_EQ(result.learningRate, kRate);
    ASSERT_NE(result.find("loss"), nullptr);
    EXPECT_NEAR(*result.find("loss"), losses[i], 1e-13 * losses[0]);
    EXPECT_EQ(result.find("other"), nullptr);
  }
  std::vector<double> saved = savedWeight(executor);
  for (size_t j = 0; j < kFeatures; ++j)
    EXPECT_NEAR(saved[j], weight[j], 1e-13);
}

TEST_F(ExecutorTest, TwoRunsGiveTheSameBits) {
  options.data.shuffle = true;
  options.data.seed = 11;
  auto losses = [&] {
    Executor executor(plan, options);
    std::vector<double> result;
    for (int i = 0; i < 10; ++i)
      result.push_back(*executor.step().find("loss"));
    return result;
  };
  std::vector<double> first = losses();
  EXPECT_EQ(first, losses());
  options.data.seed = 12;
  EXPECT_NE(first, losses());
}

TEST_F(ExecutorTest, GoesOnFromSavedWeights) {
  Executor executor(plan, options);
  executor.step();
  std::vector<double> weight = savedWeight(executor);
  options.weights = directory.path("out.safetensors");
  Executor next(plan, options);
  EXPECT_EQ(savedWeight(next), weight);
}

TEST_F(ExecutorTest, WeightsMayHaveOtherNamesAndTypes) {
  std::vector<float> floats(start.begin(), start.end());
  floats[2] = 2.5;
  options.weights = directory.path("in.safetensors");
  saveSafeTensors(
      options.weights,
      {{"tied.weight", {}, TensorDesc::contiguous(DType::F32, {kFeatures}), floats.data()}});
  EXPECT_EQ(savedWeight(Executor(plan, options)),
            std::vector<double>(floats.begin(), floats.end()));
}

TEST_F(ExecutorTest, RunStateIsWrittenBeforeEachCall) {
  // counter and step are copied, per micro-batch, into metrics.
  PlanBuilder b;
  b.plan.mutable_training()->set_accumulation(2);
  b.plan.mutable_training()->set_global_batch(2);
  planpb::View counter = b.buffer("counter", planpb::PERSISTENT, planpb::I64, {3});
  planpb::View update = b.buffer("update", planpb::PERSISTENT, planpb::I64, {});
  planpb::View seen = b.buffer("seen", planpb::STEP, planpb::I64, {2, 3});
  b.program().add_run_state()->set_name("random_counter");
  *b.program().mutable_run_state(0)->mutable_view() = counter;
  b.program().add_run_state()->set_name("update_step");
  *b.program().mutable_run_state(1)->mutable_view() = update;
  auto metric = [&](const std::string &name, const planpb::View &view, uint64_t offset) {
    planpb::Slot &slot = *b.program().add_metrics();
    slot.set_name(name);
    *slot.mutable_view() = view;
    slot.mutable_view()->set_offset(offset);
    slot.mutable_view()->clear_shape();
    slot.mutable_view()->clear_strides();
  };
  metric("update", update, 0);
  for (uint32_t i = 0; i < 2; ++i) {
    uint32_t segment = b.segment("body");
    planpb::View row = seen;
    row.set_offset(24 * i);
    row.mutable_shape()->Clear();
    row.mutable_strides()->Clear();
    row.add_shape(3);
    row.add_strides(1);
    b.launch("copy", {counter}, {row});
    b.call(segment, i);
    for (uint64_t j = 0; j < 3; ++j)
      metric(std::to_string(i) + std::to_string(j), seen, 24 * i + 8 * j);
  }
  ExecutorOptions seeded;
  seeded.seed = 99;
  Executor executor(b.plan, seeded);
  for (int step : {1, 2}) {
    const StepResult &result = executor.step();
    std::vector<double> values;
    for (const auto &[name, value] : result.metrics)
      values.push_back(value);
    EXPECT_THAT(values, ElementsAre(step, 99, step - 1, 0, 99, step - 1, 1));
  }
}

TEST_F(ExecutorTest, CopiesBetweenStreams) {
  // The side stream copies a transposed input; the compute stream waits for it and sums with the
  // input.
  PlanBuilder b;
  b.program().add_streams("side");
  b.program().set_events(2);
  b.plan.mutable_training()->set_micro_batch(2);
  b.plan.mutable_training()->set_global_batch(2);
  planpb::View x = b.buffer("x", planpb::STEP, planpb::F64, {2, 3});
  planpb::View y = b.buffer("y", planpb::STEP, planpb::F64, {3, 2});
  planpb::View last = b.buffer("last", planpb::STEP, planpb::F64, {});
  planpb::Input &input = *b.plan.add_inputs();
  input.set_name("x");
  input.set_dtype(planpb::F64);
  *input.mutable_shape() = x.shape();
  uint32_t segment = b.segment("body");
  b.feed(0, x);
  b.record(0, 0);
  b.wait(1, 0);
  planpb::View transposed = x;
  *transposed.mutable_shape() = y.shape();
  transposed.set_strides(0, 1);
  transposed.set_strides(1, 3);
  planpb::Task &copy = b.record(1, 1);
  *copy.mutable_copy()->mutable_from() = transposed;
  *copy.mutable_copy()->mutable_to() = y;
  b.record(1, 1);
  b.wait(0, 1);
  planpb::View one = y; // element (1, 1)
  one.clear_shape();
  one.clear_strides();
  one.set_offset(3 * 8);
  b.launch("copy", {one}, {last});
  b.call(segment);
  planpb::Slot &slot = *b.program().add_metrics();
  slot.set_name("last");
  *slot.mutable_view() = last;
  writeFile(directory.path("rows.bin"),
            bytesOf(std::vector<double>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}));
  ExecutorOptions rows;
  rows.data.files = {{"x", directory.path("rows.bin") + ":float64"}};
  rows.data.shuffle = false;
  Executor executor(b.plan, rows);
  for (double expected : {5, 11, 5})
    EXPECT_EQ(*executor.step().find("last"), expected);
}

TEST_F(ExecutorTest, DivergenceIsNamed) {
  plan.mutable_training()->set_learning_rate(1e200);
  Executor executor(plan, options);
  try {
    for (int i = 0; i < 10; ++i)
      requireFiniteLoss(executor.step());
    FAIL() << "the loss stayed finite";
  } catch (const Error &error) {
    EXPECT_EQ(error.code(), ExitCode::Diverged);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("step "), HasSubstr("the loss is")));
  }
}

TEST_F(ExecutorTest, BadDataStopTheStep) {
  Executor executor(plan, options);
  executor.step();
  std::filesystem::resize_file(directory.path("x.bin"), 8);
  EXPECT_THAT(messageOf([&] { executor.step(); }),
              AllOf(HasSubstr("step 2, micro-batch 0"), HasSubstr("x.bin: ends before byte")));
}

TEST_F(ExecutorTest, UnsoundPlanIsRefused) {
  plan.mutable_programs(0)->mutable_segments(1)->mutable_tasks()->SwapElements(0, 2);
  EXPECT_THAT(message(), AllOf(HasSubstr("the plan is not sound"), HasSubstr("never written")));
}

TEST_F(ExecutorTest, ChangedOrMissingModelIsRefused) {
  writeFile(directory.path("w"), bytesOf(std::vector<double>(kFeatures + 1)));
  EXPECT_THAT(message(), HasSubstr("w: was changed after the plan was made (48 bytes, 40 then)"));
  std::filesystem::remove(directory.path("w"));
  EXPECT_THAT(message(), AllOf(HasSubstr("w: cannot be opened"), HasSubstr("--weights")));
}

TEST_F(ExecutorTest, ModelWithoutDataIsRefused) {
  plan.mutable_parameters(0)->set_file(-1);
  EXPECT_THAT(message(), AllOf(HasSubstr("1 of 1 parameters have no initial value (weight)"),
                               HasSubstr("give --weights FILE.safetensors")));
}

TEST_F(ExecutorTest, WrongWeightsAreRefused) {
  options.weights = directory.path("in.safetensors");
  std::vector<double> data(kFeatures + 1);
  saveSafeTensors(
      options.weights,
      {{"weight", {}, TensorDesc::contiguous(DType::F64, {kFeatures + 1}), data.data()}});
  EXPECT_THAT(message(), HasSubstr("tensor weight has the shape (6), the plan's has (5)"));
  saveSafeTensors(options.weights,
                  {{"other", {}, TensorDesc::contiguous(DType::F64, {kFeatures}), data.data()}});
  EXPECT_THAT(message(), HasSubstr("has no tensor weight"));
  saveSafeTensors(options.weights,
                  {{"weight", {}, TensorDesc::contiguous(DType::I64, {kFeatures}), data.data()}});
  EXPECT_THAT(message(), HasSubstr("has the type i64, the plan's has f64"));
}

TEST_F(ExecutorTest, SmallWorkspacesSayWhatDiffers) {
  // Attention without any workspace stands for a library that needs more here than where the plan
  // was made.
  PlanBuilder b;
  planpb::View q = b.buffer("q", planpb::PERSISTENT, planpb::F32, {1, 1, 4, 8});
  planpb::View o = b.buffer("o", planpb::STEP, planpb::F32, {1, 1, 4, 8});
  planpb::View lse = b.buffer("lse", planpb::STEP, planpb::F32, {1, 1, 4});
  uint32_t segment = b.segment("body");
  planpb::Launch &attention = *b.launch("attention", {q, q, q}, {o, lse}).mutable_launch();
  attention.set_provider("native");
  (*attention.mutable_attributes())["scale"].set_number(1);
  b.call(segment);
  plan = b.plan;
  options = {};
  plan.set_cpu_level(std::string(cpuLevel()));
  EXPECT_THAT(message(),
              AllOf(HasSubstr("task 0 of segment body"), HasSubstr("workspace has 0"),
                    HasSubstr("another CPU of level"),
                    HasSubstr("run ds-opt again on this machine"), Not(HasSubstr("--threads"))));
  plan.set_cpu_level("x86-64-v9");
  EXPECT_THAT(message(), HasSubstr(fmt::format("the plan was made on a CPU of level x86-64-v9, "
                                               "this one offers {}, on which provider native needs "
                                               "other workspaces: run ds-opt again",
                                               cpuLevel())));
  (*plan.mutable_libraries())["native"] = "oneDNN 9.9.9";
  EXPECT_THAT(message(), HasSubstr("made with oneDNN 9.9.9, this ds-run has another library"));
  options.threads = 2;
  EXPECT_THAT(message(), HasSubstr("the plan was made for 1 threads: run it with --threads 1"));
}

TEST_F(ExecutorTest, UnknownKernelsAreNamedTogether) {
  planpb::Segment &segment = *plan.mutable_programs(0)->mutable_segments(1);
  segment.mutable_tasks(2)->mutable_launch()->set_kernel("mystery");
  segment.mutable_tasks(3)->mutable_launch()->set_provider("cuda");
  EXPECT_THAT(message(), AllOf(HasSubstr("task 2 of segment micro_batch: mystery (test)"),
                               HasSubstr("no kernel provider cuda")));
}

} // namespace
