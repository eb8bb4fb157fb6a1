#include "ConfigTesting.h"

#include <fmt/format.h>

using namespace deepshard;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

/// The section, with clipping given so that nothing else is noted.
std::string withZero(const std::string &section) {
  return withOptimizer("\"gradient_clipping\": 1,\n\"zero_optimization\": " + section);
}

int stageOf(const std::string &section) {
  ConfigResult result = read(withZero(section));
  EXPECT_THAT(errors(result), IsEmpty()) << section;
  return result.config ? result.config->zero.stage : -1;
}

TEST(Zero, defaults) {
  Zero zero = read(withOptimizer("")).config->zero;
  EXPECT_EQ(zero.stage, 0);
  EXPECT_EQ(zero.gradientReduction, "step");
  EXPECT_EQ(zero.parameterGather, "regather");
  EXPECT_EQ(zero.persistenceThreshold, 100000);
  EXPECT_TRUE(zero.overlap);
}

TEST(Zero, everySetting) {
  ConfigResult result = read(withOptimizer(R"("gradient_clipping": 1,
    "zero_optimization": {"stage": 3, "stage3_param_persistence_threshold": 1e4,
                          "overlap_comm": false, "reduce_bucket_size": 5e8},
    "deepshard": {"gradient_reduction": "micro_batch", "parameter_gather": "step"})"));
  ASSERT_THAT(errors(result), IsEmpty());
  EXPECT_THAT(notes(result), IsEmpty());
  const Zero &zero = result.config->zero;
  EXPECT_EQ(zero.stage, 3);
  EXPECT_EQ(zero.gradientReduction, "micro_batch");
  EXPECT_EQ(zero.parameterGather, "step");
  EXPECT_EQ(zero.persistenceThreshold, 10000);
  EXPECT_FALSE(zero.overlap);
  EXPECT_EQ(result.config->bucketSize, 500000000);
}

TEST(Zero, stageAsDeepSpeedReadsIt) {
  for (int stage = 0; stage <= 3; ++stage) {
    EXPECT_EQ(stageOf(fmt::format("{{\"stage\": {}}}", stage)), stage);
    EXPECT_EQ(stageOf(fmt::format("{{\"stage\": \"{}\"}}", stage)), stage);
  }
  EXPECT_EQ(stageOf("{\"stage\": 2.0}"), 2);
  EXPECT_EQ(stageOf("true"), 1);
  EXPECT_EQ(stageOf("false"), 0);
  EXPECT_EQ(stageOf("{\"stage\": \"auto\"}"), 0);
  EXPECT_EQ(read(withOptimizer(""), {"zero_optimization.stage=3"}).config->zero.stage, 3);
}

TEST(Zero, faultsOfTheStage) {
  const std::string key = "c.json:2: zero_optimization.stage: ";
  EXPECT_THAT(errors(read(withZero("{\"stage\": 4}"))),
              ElementsAre(key + "expected 0, 1, 2 or 3, found the number 4"));
  EXPECT_THAT(errors(read(withZero("{\"stage\": -1}"))),
              ElementsAre(key + "expected 0, 1, 2 or 3, found the number -1"));
  EXPECT_THAT(errors(read(withZero("{\"stage\": \"three\"}"))),
              ElementsAre(key + "expected 0, 1, 2 or 3, found the string \"three\""));
  EXPECT_THAT(errors(read(withZero("{\"stage\": 1.5}"))),
              ElementsAre(key + "expected an integer or a string, found the number 1.5"));
  EXPECT_THAT(errors(read(withZero("3"))),
              ElementsAre("c.json:2: zero_optimization: expected an object or true or false, found "
                          "the number 3"));
}

TEST(Zero, faultsOfTheOtherSettings) {
  EXPECT_THAT(
      errors(read(withOptimizer(R"("zero_optimization": {
  "param_persistence_threshold": -1,
  "reduce_bucket_size": 0,
  "overlap_comm": "yes"},
"deepshard": {
  "gradient_reduction": "never",
  "parameter_gather": "once"})"))),
      ElementsAre(
          HasSubstr("c.json:2: zero_optimization.param_persistence_threshold: expected an integer "
                    "between 0 and "),
          "c.json:3: zero_optimization.reduce_bucket_size: expected an integer between 1 and "
          "1099511627776, found 0",
          "c.json:4: zero_optimization.overlap_comm: expected true or false or null, found the "
          "string \"yes\"",
          "c.json:6: deepshard.gradient_reduction: expected \"step\" or \"micro_batch\", found "
          "\"never\"",
          "c.json:7: deepshard.parameter_gather: expected \"regather\", \"micro_batch\" or "
          "\"step\", found \"once\""));
}

TEST(Zero, persistenceThresholdHasTwoNames) {
  EXPECT_EQ(
      read(withZero("{\"param_persistence_threshold\": 5}")).config->zero.persistenceThreshold, 5);
  EXPECT_EQ(read(withZero("{\"stage3_param_persistence_threshold\": 0}"))
                .config->zero.persistenceThreshold,
            0);
  EXPECT_THAT(errors(read(withZero("{\"stage3_param_persistence_threshold\": 1,\n"
                                   "\"param_persistence_threshold\": 1}"))),
              ElementsAre("c.json:3: zero_optimization.param_persistence_threshold: the same "
                          "setting as zero_optimization.stage3_param_persistence_threshold; keep "
                          "one of the two"));
}

TEST(Zero, bucketSize) {
  EXPECT_EQ(read(withOptimizer("")).config->bucketSize, 4194304);
  // At stage 0 too: a bucket's members do not depend on the stage.
  ConfigResult theirs = read(withZero("{\"reduce_bucket_size\": 1000}"));
  EXPECT_EQ(theirs.config->bucketSize, 1000);
  EXPECT_THAT(notes(theirs), IsEmpty());
  ConfigResult both = read(withZero("{\"reduce_bucket_size\": 1000}"), {"bucket_size=99"});
  EXPECT_EQ(both.config->bucketSize, 99);
  EXPECT_THAT(notes(both), ElementsAre("c.json:2: zero_optimization.reduce_bucket_size: without "
                                       "effect: deepshard.bucket_size is given, 99"));
  EXPECT_EQ(read(withZero("{\"reduce_bucket_size\": \"auto\"}")).config->bucketSize, 4194304);
}

// What Hugging Face's examples for stage 3 set, without offload.
TEST(Zero, aUsualFileForStage3) {
  ConfigResult result = read(withZero(R"({
  "stage": 3,
  "overlap_comm": true,
  "contiguous_gradients": true,
  "sub_group_size": 1e9,
  "reduce_bucket_size": "auto",
  "stage3_prefetch_bucket_size": "auto",
  "stage3_param_persistence_threshold": "auto",
  "stage3_max_live_parameters": 1e9,
  "stage3_max_reuse_distance": 1e9,
  "stage3_gather_16bit_weights_on_model_save": true})"));
  ASSERT_THAT(errors(result), IsEmpty());
  EXPECT_THAT(notes(result),
              ElementsAre("c.json:12: zero_optimization.stage3_gather_16bit_weights_on_model_save: "
                          "accepted without effect: it concerns how DeepSpeed goes about its work, "
                          "which is done otherwise here, with the same result"));
}

TEST(Zero, whatWouldChangeTheResultOrItsPlaceIsRefusedFromItsStageOn) {
  const std::string section = R"({"stage": STAGE,
"offload_optimizer": {"device": "cpu", "pin_memory": true},
"offload_param": {"device": "nvme", "nvme_path": "/local"},
"zero_quantized_weights": true,
"zero_quantized_gradients": true,
"zenflow": {"topk_ratio": 0.1},
"mics_shard_size": 0,
"cpu_offload": false})";
  auto at = [&](const std::string &stage) {
    std::string text = section;
    text.replace(text.find("STAGE"), 5, stage);
    return errors(read(withZero(text)));
  };
  EXPECT_THAT(at("0"), IsEmpty());
  EXPECT_THAT(at("\"2\""),
              ElementsAre("c.json:3: zero_optimization.offload_optimizer.device: known, not "
                          "supported yet (found \"cpu\"); leave it out or set it to \"none\"",
                          "c.json:7: zero_optimization.zenflow: known, not supported yet; leave it "
                          "out or set it to null"));
  EXPECT_THAT(at("3"), ElementsAre(HasSubstr("offload_optimizer.device: known"),
                                   HasSubstr("offload_param.device: known"),
                                   HasSubstr("zero_quantized_weights: known"),
                                   HasSubstr("zero_quantized_gradients: known"),
                                   HasSubstr("zenflow: known")));
}

TEST(Zero, groupsDivideTheDataRanks) {
  auto config = [](const std::string &keys, const std::string &data = "8") {
    return read(withOptimizer("\"deepshard\": {\"mesh\": {\"data\": " + data +
                              "}},\n\"zero_optimization\": {" + keys + "}"));
  };
  ConfigResult off =
      config("\"stage\": 3, \"mics_shard_size\": -1, \"zero_hpz_partition_size\": 1");
  ASSERT_TRUE(off.config);
  EXPECT_EQ(off.config->zero.shardSize, 8);
  EXPECT_EQ(off.config->zero.regatherSize, 8);

  ConfigResult mics = config("\"stage\": 3, \"mics_shard_size\": 4");
  ASSERT_TRUE(mics.config);
  EXPECT_EQ(mics.config->zero.shardSize, 4);
  EXPECT_EQ(mics.config->zero.regatherSize, 4);

  ConfigResult hpz = config("\"stage\": 3, \"zero_hpz_partition_size\": 2");
  ASSERT_TRUE(hpz.config);
  EXPECT_EQ(hpz.config->zero.shardSize, 8);
  EXPECT_EQ(hpz.config->zero.regatherSize, 2);

  EXPECT_THAT(
      errors(config("\"stage\": 3,\n\"mics_shard_size\": 3,\n\"zero_hpz_partition_size\": 16")),
      ElementsAre("c.json:3: zero_optimization.mics_shard_size: groups of 3 do not make up "
                  "the 8 ranks of deepshard.mesh.data; choose a number from 2 on that "
                  "divides it",
                  "c.json:4: zero_optimization.zero_hpz_partition_size: groups of 16 do not "
                  "make up the 8 ranks of deepshard.mesh.data; choose a number from 2 on "
                  "that divides it"));
  EXPECT_THAT(
      errors(config("\"stage\": 3, \"mics_shard_size\": 4, \"zero_hpz_partition_size\": 2")),
      ElementsAre(HasSubstr("cannot be used together with")));
  ConfigResult below = config("\"stage\": 2, \"mics_shard_size\": 3");
  EXPECT_THAT(errors(below), IsEmpty());
  EXPECT_THAT(notes(below), Contains("c.json:2: zero_optimization.mics_shard_size: without effect "
                                     "below stage 3"));
}

TEST(Zero, reductionsInFp32AreWhatHappens) {
  EXPECT_THAT(errors(read(withOptimizer("\"communication_data_type\": \"fp32\""))), IsEmpty());
  EXPECT_THAT(
      errors(read(withOptimizer("\"communication_data_type\": \"bf16\""))),
      ElementsAre(HasSubstr("c.json:1: communication_data_type: known, not supported yet")));
}

} // namespace
