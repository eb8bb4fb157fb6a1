//===- LrScheduleTest.cpp - schedules against DeepSpeed's procedure ---------------------------===//
//
// The reference below is written as DeepSpeed runs: an object that is advanced after each optimizer
// step, in Python's order of operations, not as a formula of the step.
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/executor/LrSchedule.h"

#include "test/unit/runtime/PlanBuilder.h"

#include <cmath>

using namespace deepshard;
using namespace deepshard::runtime;
using namespace deepshard::runtime::test;
using testing::HasSubstr;

namespace {

struct Reference {
  std::string type, warmupType;
  double lr, minLr, maxLr, total, minRatio, cosRatio;
  int warmup;
  int lastBatchIteration = -1;

  void step() { ++lastBatchIteration; }

  double warmupFraction() const {
    if (warmupType == "linear")
      return double(lastBatchIteration) / warmup;
    return std::log(lastBatchIteration + 1) / std::log(warmup);
  }

  double getLr() const {
    bool isCosine = type == "WarmupCosineLR";
    if (lastBatchIteration < 0)
      return isCosine ? 0 : minLr;
    if (isCosine) {
      if (lastBatchIteration < warmup)
        return lr * (minRatio + warmupFraction() * (1 - minRatio));
      double realLastStep = lastBatchIteration - warmup + 1;
      double realTotalSteps = std::max(1.0, total - warmup);
      double ratio = (1 + std::cos(M_PI * std::min(1.0, realLastStep / realTotalSteps))) / 2;
      return lr * std::max(0.0, cosRatio + (1 - cosRatio) * ratio);
    }
    double gamma = 1;
    if (lastBatchIteration < warmup)
      gamma = warmupFraction();
    else if (type == "WarmupDecayLR")
      gamma = std::max(0.0, (total - lastBatchIteration) / std::max(1.0, total - warmup));
    return minLr + (maxLr - minLr) * gamma;
  }
};

planpb::Training trainingOf(const Reference &reference) {
  planpb::Training training;
  training.set_learning_rate(reference.lr);
  planpb::LrSchedule &schedule = *training.mutable_schedule();
  schedule.set_type(reference.type);
  schedule.set_warmup_type(reference.warmupType);
  auto &numbers = *schedule.mutable_numbers();
  numbers["warmup_num_steps"] = reference.warmup;
  if (reference.type == "WarmupCosineLR") {
    numbers["warmup_min_ratio"] = reference.minRatio;
    numbers["cos_min_ratio"] = reference.cosRatio;
  } else {
    numbers["warmup_min_lr"] = reference.minLr;
    numbers["warmup_max_lr"] = reference.maxLr;
  }
  if (reference.type != "WarmupLR")
    numbers["total_num_steps"] = reference.total;
  return training;
}

TEST(LrScheduleTest, FollowsDeepSpeedStepByStep) {
  for (const char *type : {"WarmupLR", "WarmupDecayLR", "WarmupCosineLR"}) {
    for (const char *warmupType : {"log", "linear"}) {
      for (int warmup : {2, 7, 30}) {
        for (double total : {1.0, 20.0, 41.0}) {
          Reference reference = {type, warmupType, 3e-4, 1e-5, 1e-3, total, 0.1, 0.01, warmup};
          LrSchedule schedule(trainingOf(reference));
          for (uint64_t step = 1; step <= 60; ++step) {
            double expected = reference.getLr();
            ASSERT_NEAR(schedule.at(step), expected, 1e-15)
                << type << " " << warmupType << " " << warmup << " " << total << " step " << step;
            reference.step();
          }
        }
      }
    }
  }
}

TEST(LrScheduleTest, DefaultsAreDeepSpeeds) {
  planpb::Training training;
  training.set_learning_rate(0.5);
  EXPECT_EQ(LrSchedule(training).at(1), 0.5);
  training.mutable_schedule()->set_type("WarmupLR");
  LrSchedule warmup(training);
  EXPECT_EQ(warmup.at(1), 0);
  EXPECT_EQ(warmup.at(2), 0); // ln 1
  EXPECT_NEAR(warmup.at(501), 0.5 * std::log(500) / std::log(1000), 1e-15);
  EXPECT_EQ(warmup.at(1002), 0.5);
  training.mutable_schedule()->set_type("WarmupDecayLR");
  (*training.mutable_schedule()->mutable_numbers())["total_num_steps"] = 2000;
  EXPECT_NEAR(LrSchedule(training).at(1502), 1e-3 * 0.5, 1e-18);
  // A warm-up of one step counts as two.
  (*training.mutable_schedule()->mutable_numbers())["warmup_num_steps"] = 1;
  EXPECT_NEAR(LrSchedule(training).at(3), 1e-3 * std::log(2) / std::log(2), 1e-18);
}

TEST(LrScheduleTest, MessagesNameWhatIsWrong) {
  planpb::Training training;
  planpb::LrSchedule &schedule = *training.mutable_schedule();
  auto message = [&] { return messageOf([&] { LrSchedule made(training); }); };
  schedule.set_type("OneCycle");
  EXPECT_THAT(message(), HasSubstr("schedule OneCycle is not known"));
  schedule.set_type("WarmupCosineLR");
  EXPECT_THAT(message(), HasSubstr("total_num_steps is missing"));
  (*schedule.mutable_numbers())["total_num_steps"] = 10;
  (*schedule.mutable_numbers())["warmup_min_lr"] = 0;
  EXPECT_THAT(message(), HasSubstr("warmup_min_lr is not known"));
  schedule.mutable_numbers()->erase("warmup_min_lr");
  schedule.set_warmup_type("cubic");
  EXPECT_THAT(message(), HasSubstr("log or linear was expected"));
}

} // namespace
