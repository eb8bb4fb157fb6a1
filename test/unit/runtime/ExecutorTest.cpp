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

/// A plan whose steps overflow where the input "finite" is 0; its loss is the input "loss". The
/// loss scale starts at 8 and is 2 at least.
planpb::Plan scaledPlan() {
  PlanBuilder b;
  planpb::Training &training = *b.plan.mutable_training();
  training.set_global_batch(1);
  training.set_learning_rate(1);
  training.mutable_schedule()->set_type("WarmupLR");
  training.mutable_schedule()->set_warmup_type("linear");
  for (auto [name, value] :
       {std::pair("warmup_min_lr", 0.0), {"warmup_max_lr", 10.0}, {"warmup_num_steps", 10.0}})
    (*training.mutable_schedule()->mutable_numbers())[name] = value;
  using planpb::F64, planpb::I1, planpb::PERSISTENT, planpb::STEP;
  planpb::View state = b.buffer("loss_scale.0", PERSISTENT, F64, {4});
  b.bucketAt("loss_scale.0", "loss_scale", state, 4)
      .set_initial(bytesOf(std::vector<double>{8, 0, 1, 0}));
  planpb::View finite = b.buffer("finite", STEP, F64, {1}), loss = b.buffer("loss", STEP, F64, {1}),
               flag = b.buffer("flag", STEP, I1, {1}), overflows = b.buffer("not", STEP, I1, {1}),
               overflow = b.buffer("overflow", STEP, F64, {1}),
               update = b.buffer("update", PERSISTENT, planpb::I64, {});
  addInput(b.plan, "finite", finite);
  addInput(b.plan, "loss", loss);
  addRunState(b, "update_step", update);
  uint32_t segment = b.segment("update");
  b.feed(0, finite);
  b.feed(1, loss);
  b.launch("convert", {finite}, {flag});
  b.launch("not", {flag}, {overflows});
  b.launch("convert", {overflows}, {overflow});
  auto &attributes =
      *b.launch("update_loss_scale", {state, flag}, {state}).mutable_launch()->mutable_attributes();
  attributes["window"].set_integer(1000);
  attributes["hysteresis"].set_integer(1);
  attributes["minimum"].set_number(2);
  b.call(segment);
  addMetric(b, "loss", loss);
  addMetric(b, "overflow", overflow);
  planpb::View scale = state;
  scale.clear_shape();
  scale.clear_strides();
  addMetric(b, "loss_scale", scale);
  addMetric(b, "update", update);
  return b.plan;
}

class LossScaleTest : public ExecutorTest {
protected:
  /// Steps with this and that in the inputs.
  Executor executor(const std::vector<double> &finite, const std::vector<double> &losses) {
    writeFile(directory.path("finite.bin"), bytesOf(finite));
    writeFile(directory.path("loss.bin"), bytesOf(losses));
    ExecutorOptions rows;
    rows.data.files = {{"finite", directory.path("finite.bin") + ":float64"},
                       {"loss", directory.path("loss.bin") + ":float64"}};
    rows.data.shuffle = false;
    return Executor(scaledPlan(), rows);
  }
};

/// Adam's step and the learning rate stand still where a step is skipped.
TEST_F(LossScaleTest, SkippedStepsDoNotCount) {
  Executor run = executor({1, 0, 0, 1, 1}, {1, 1, 1, 1, 1});
  const double scales[] = {8, 4, 2, 2, 2}, steps[] = {1, 2, 2, 2, 3}, rates[] = {0, 0, 0, 0, 1};
  for (int i = 0; i < 5; ++i) {
    const StepResult &result = run.step();
    EXPECT_EQ(*result.find("loss_scale"), scales[i]);
    EXPECT_EQ(*result.find("update"), steps[i]);
    EXPECT_EQ(result.learningRate, rates[i]) << i;
    EXPECT_EQ(result.step, static_cast<uint64_t>(i + 1));
    requireFiniteLoss(result);
  }
}

/// A step that is skipped may have any loss; another may not, and the scale does not end at
/// nothing.
TEST_F(LossScaleTest, WhatStopsARun) {
  const double nan = std::nan("");
  Executor run = executor({0, 0, 0}, {nan, nan, nan});
  requireFiniteLoss(run.step());
  requireFiniteLoss(run.step());
  EXPECT_THAT(messageOf([&] { requireFiniteLoss(run.step()); }),
              HasSubstr("step 3: gradients overflow at the smallest loss scale"));
  Executor broken = executor({1}, {nan});
  EXPECT_THAT(messageOf([&] { requireFiniteLoss(broken.step()); }), HasSubstr("the loss is nan"));
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
