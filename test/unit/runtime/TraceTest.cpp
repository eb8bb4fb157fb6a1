//===- TraceTest.cpp - metrics and progress ---------------------------------------------------===//

#include "runtime/trace/Metrics.h"
#include "runtime/trace/PeakMemory.h"
#include "runtime/trace/Profile.h"
#include "runtime/trace/Progress.h"
#include "test/unit/runtime/PlanBuilder.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <sstream>

#include <unistd.h>

using namespace deepshard;
using namespace deepshard::runtime;
using namespace deepshard::runtime::test;
using testing::HasSubstr;

namespace {

StepMetrics someMetrics(uint64_t step) {
  StepMetrics metrics;
  metrics.step = step;
  metrics.model = {{"loss", 0.1 + static_cast<double>(step)}, {"grad_norm", 1.0 / 3}};
  metrics.learningRate = 1e-4;
  metrics.stepSeconds = 0.25;
  metrics.tokensPerSecond = 1234567.8;
  metrics.samples = 8 * step;
  metrics.peakBytes = 1000;
  metrics.plannedBytes = 900;
  return metrics;
}

TEST(MetricsTest, LinesAreCompleteAtOnceAndExact) {
  TemporaryDirectory directory;
  std::string path = directory.path("run.jsonl");
  writeFile(path, "an older run\n");
  MetricsWriter writer(path);
  writer.write(someMetrics(1));
  StepMetrics diverged = someMetrics(2);
  diverged.model[0].second = NAN;
  writer.write(diverged);
  std::istringstream lines(readFile(path)); // the writer is still open
  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  nlohmann::json first = nlohmann::json::parse(line);
  EXPECT_EQ(first["step"], 1);
  EXPECT_EQ(first["loss"].get<double>(), 0.1 + 1.0);
  EXPECT_EQ(first["grad_norm"].get<double>(), 1.0 / 3);
  EXPECT_EQ(first["lr"].get<double>(), 1e-4);
  for (const char *key :
       {"step_seconds", "tokens_per_second", "samples", "peak_bytes", "planned_bytes"})
    EXPECT_TRUE(first[key].is_number()) << key;
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_TRUE(nlohmann::json::parse(line)["loss"].is_null());
  EXPECT_FALSE(std::getline(lines, line));
  EXPECT_THAT(messageOf([&] { MetricsWriter(directory.path("missing/run.jsonl")); }),
              HasSubstr("cannot be written"));
}

TEST(MetricsTest, FullDiskIsAnError) {
  if (std::FILE *full = std::fopen("/dev/full", "w")) {
    std::fclose(full);
    MetricsWriter writer("/dev/full");
    EXPECT_THAT(messageOf([&] { writer.write(someMetrics(1)); }), HasSubstr("No space left"));
  }
}

TEST(PeakMemoryTest, CountsTouchedMemory) {
  uint64_t before = peakResidentBytes();
  EXPECT_GT(before, 1u << 20);
  constexpr size_t kBytes = size_t{64} << 20;
  std::vector<char> touched(kBytes, 1);
  EXPECT_GT(touched[kBytes - 1], 0);
  EXPECT_GE(peakResidentBytes(), before + kBytes / 2);
}

std::string shown(bool isTerminal, uint64_t stepsPerPrint) {
  TemporaryDirectory directory;
  std::string path = directory.path("out");
  std::FILE *out = std::fopen(path.c_str(), "w");
  {
    Progress progress(out, isTerminal, 10, stepsPerPrint, "tokens");
    for (uint64_t step = 1; step <= 10; ++step)
      progress.show(someMetrics(step));
  }
  std::fclose(out);
  return readFile(path);
}

TEST(ProgressTest, PlainLines) {
  std::string text = shown(false, 4);
  EXPECT_THAT(
      text,
      HasSubstr("step 1/10 | loss 1.1000 | grad_norm 0.3333 | lr 1.00e-04 | 1,234,568 tokens/s\n"));
  for (const char *step : {"step 4/", "step 8/", "step 10/"})
    EXPECT_THAT(text, HasSubstr(step));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 4);
  // By the clock, these quick steps show only the first and the last.
  std::string quick = shown(false, 0);
  EXPECT_EQ(std::count(quick.begin(), quick.end(), '\n'), 2);
}

TEST(ProgressTest, TerminalHasOneLine) {
  std::string text = shown(true, 0);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  EXPECT_EQ(text.back(), '\n');
  EXPECT_THAT(text, HasSubstr("\rstep 1/10"));
  EXPECT_THAT(text, HasSubstr("0:02 left")); // 9 steps of 0.25 s
  EXPECT_THAT(text, HasSubstr("\rstep 10/10"));
}

TEST(ProgressTest, LossScale) {
  StepMetrics metrics = someMetrics(1);
  metrics.model = {{"loss", 1.5}, {"loss_scale", 16777216}, {"overflow", 0}, {"skipped_steps", 0}};
  EXPECT_THAT(describeStep(metrics, 10, "tokens"),
              HasSubstr("loss 1.5000 | loss_scale 16777216 | lr"));
  metrics.model = {{"loss", 1.5}, {"loss_scale", 0.5}, {"overflow", 1}, {"skipped_steps", 3}};
  EXPECT_THAT(describeStep(metrics, 10, "tokens"),
              HasSubstr("| loss_scale 0.5 | overflow: skipped | 3 skipped so far | lr"));
}

TEST(ProgressTest, Durations) {
  EXPECT_EQ(formatDuration(0), "0:00");
  EXPECT_EQ(formatDuration(61.4), "1:01");
  EXPECT_EQ(formatDuration(3723), "1:02:03");
  EXPECT_EQ(formatDuration(-5), "0:00");
}

/// Two tasks of one shape are one line; the first step counts nowhere.
TEST(ProfileTest, RatesAreThoseOfTheLaterSteps) {
  PlanBuilder builder;
  const planpb::View small = builder.buffer("a", planpb::TRANSIENT, planpb::F32, {250, 1000});
  const planpb::View square = builder.buffer("b", planpb::TRANSIENT, planpb::F32, {250, 250});
  builder.segment("all");
  for (int i = 0; i < 2; ++i)
    builder.launch("matmul", {small, small}, {square}).mutable_launch()->set_flops(1000000000);
  builder.launch("embedding", {small, square}, {square});
  const planpb::Plan &plan = builder.plan;
  auto task = [&](int index) -> const planpb::Task & {
    return plan.programs(0).segments(0).tasks(index);
  };
  using std::chrono::milliseconds;
  Profile profile(plan);
  EXPECT_EQ(profile.text({}), "");
  for (uint64_t step = 1; step <= 3; ++step) {
    const int slow = step == 1 ? 1000 : 1;
    profile.add(task(0), step, milliseconds(150 * slow));
    profile.add(task(1), step, milliseconds(50 * slow));
    profile.add(task(2), step, milliseconds(100 * slow));
    profile.endStep(step, 0.5 * slow);
  }
  const std::string text = profile.text({20e9, DType::F32, 1e9});
  EXPECT_THAT(text, HasSubstr("a step of 500.00 ms (mean of 2, without the first); peaks: 20.0 "
                              "GFLOP/s (matmul in f32), 1.0 GB/s (copy)"));
  // Twice 10^9 operations and 2.25 MB, each in 0.1 s.
  EXPECT_THAT(text, HasSubstr("    200.00   40.0       2     2.000      10.0 (50 %)     4.500      "
                              "  0.0 (2 %)  matmul, "
                              "reference\n"));
  EXPECT_THAT(text, HasSubstr("matmul, reference: 250x1000, 250x1000 -> 250x250\n"));
  // Of 1 MB of table only 0.25 MB are taken: with index and result 0.75 MB in 0.1 s.
  EXPECT_THAT(text, HasSubstr("    100.00   20.0       1         -                -     0.750      "
                              "  0.0 (1 %)  embedding, "
                              "reference\n"));
  EXPECT_THAT(text, HasSubstr("is busy 60.0 % of the time"));
  EXPECT_THAT(profile.text({}), testing::Not(HasSubstr("peaks")));
}

} // namespace
