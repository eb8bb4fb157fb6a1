#include "ConfigTesting.h"

using namespace deepshard;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

namespace {

ConfigResult readScheduler(const std::string &section) {
  return read("{\"train_micro_batch_size_per_gpu\": 8, \"gradient_clipping\": 1, \"optimizer\": "
              "{\"type\": \"AdamW\", "
              "\"params\": {\"lr\": 0.02}},\n\"scheduler\": " +
              section + "}");
}

TEST(Scheduler, warmupLrDefaults) {
  ConfigResult result = readScheduler(R"({"type": "WarmupLR"})");
  ASSERT_THAT(errors(result), IsEmpty());
  const Scheduler &scheduler = result.config->scheduler;
  EXPECT_EQ(scheduler.type, "WarmupLR");
  EXPECT_EQ(scheduler.warmupType, "log");
  // warmup_max_lr is the optimizer's.
  EXPECT_THAT(scheduler.numbers,
              UnorderedElementsAre(Pair("warmup_min_lr", 0), Pair("warmup_max_lr", 0.02),
                                   Pair("warmup_num_steps", 1000)));
}

TEST(Scheduler, warmupDecayLr) {
  ConfigResult result =
      readScheduler(R"({"type": "WarmupDecayLR", "params": {"total_num_steps": 500,
      "warmup_min_lr": [1e-6], "warmup_num_steps": 10, "warmup_type": "linear"}})");
  ASSERT_THAT(errors(result), IsEmpty());
  EXPECT_EQ(result.config->scheduler.warmupType, "linear");
  EXPECT_THAT(result.config->scheduler.numbers,
              UnorderedElementsAre(Pair("warmup_min_lr", 1e-6), Pair("warmup_max_lr", 1e-3),
                                   Pair("warmup_num_steps", 10), Pair("total_num_steps", 500)));
}

TEST(Scheduler, warmupCosineLr) {
  ConfigResult result =
      readScheduler(R"({"type": "WarmupCosineLR", "params": {"total_num_steps": 500,
      "warmup_min_ratio": 0.1, "cos_min_ratio": 0.01, "warmup_num_steps": 10}})");
  ASSERT_THAT(errors(result), IsEmpty());
  EXPECT_THAT(result.config->scheduler.numbers,
              UnorderedElementsAre(Pair("warmup_min_ratio", 0.1), Pair("cos_min_ratio", 0.01),
                                   Pair("warmup_num_steps", 10), Pair("total_num_steps", 500)));
}

TEST(Scheduler, noneIsConstant) {
  EXPECT_EQ(read(withOptimizer("")).config->scheduler.type, "");
  EXPECT_EQ(read(withOptimizer(R"("scheduler": null)")).config->scheduler.type, "");
  EXPECT_EQ(readScheduler(R"({"type": null})").config->scheduler.type, "");
}

TEST(Scheduler, totalStepsAreNeeded) {
  for (const char *type : {"WarmupDecayLR", "WarmupCosineLR"})
    for (const char *params : {"{}", R"({"total_num_steps": "auto"})"})
      EXPECT_THAT(errors(readScheduler("{\"type\": \"" + std::string(type) +
                                       "\", \"params\": " + params + "}")),
                  ElementsAre(HasSubstr(std::string("scheduler.params.total_num_steps: ") + type +
                                        " needs the number of steps of the whole run")));
}

TEST(Scheduler, faultsOfParametersTogether) {
  EXPECT_THAT(
      errors(readScheduler(
          "{\"type\": \"WarmupDecayLR\", \"params\": {\n\"total_num_steps\": 0,\n"
          "\"warmup_num_steps\": 0,\n\"warmup_max_lr\": [1, 2],\n\"warmup_min_lr\": -1,\n"
          "\"warmup_type\": \"cubic\",\n\"cos_min_ratio\": 0.1}}")),
      ElementsAre(
          "c.json:3: scheduler.params.total_num_steps: expected an integer between 1 and "
          "9007199254740992, found 0",
          "c.json:4: scheduler.params.warmup_num_steps: expected an integer between 1 and "
          "9007199254740992, found 0",
          "c.json:5: scheduler.params.warmup_max_lr: expected a number of at least 0, or a list of "
          "one "
          "for the single parameter group, found [1, 2]",
          "c.json:6: scheduler.params.warmup_min_lr: expected a number of at least 0, found -1",
          "c.json:7: scheduler.params.warmup_type: expected \"log\" or \"linear\", found \"cubic\"",
          "c.json:8: scheduler.params.cos_min_ratio: unknown key; docs/config.md lists the keys"));
}

TEST(Scheduler, wrongTypeOfNumber) {
  EXPECT_THAT(errors(readScheduler(R"({"type": "WarmupLR", "params": {"warmup_num_steps": 1.5}})")),
              ElementsAre("c.json:2: scheduler.params.warmup_num_steps: expected an integer, found "
                          "the number 1.5"));
}

TEST(Scheduler, typeKnownNotSupportedYet) {
  for (const char *type : {"OneCycle", "LRRangeTest", "CosineAnnealingLR"})
    EXPECT_THAT(
        errors(readScheduler("{\"type\": \"" + std::string(type) + "\"}")),
        ElementsAre("c.json:2: scheduler.type: " + std::string(type) +
                    " is known, not supported yet; supported are WarmupLR, WarmupDecayLR and "
                    "WarmupCosineLR"));
}

TEST(Scheduler, unknownType) {
  EXPECT_THAT(errors(readScheduler(R"({"type": "WarmupCosinLR"})")),
              ElementsAre(HasSubstr(
                  "unknown scheduler \"WarmupCosinLR\", did you mean \"WarmupCosineLR\"?")));
}

TEST(Scheduler, parametersWithoutType) {
  EXPECT_THAT(errors(readScheduler(R"({"params": {"warmup_num_steps": 5}})")),
              ElementsAre(HasSubstr("scheduler.type: the scheduler has parameters and no type")));
}

} // namespace
