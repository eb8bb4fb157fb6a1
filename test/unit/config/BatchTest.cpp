#include "ConfigTesting.h"

#include <fmt/format.h>

using namespace deepshard;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

struct Batch {
  int64_t train = 0, micro = 0, accumulation = 0; // 0: not given
};

ConfigResult readBatch(const Batch &given, int64_t ranks) {
  std::string text = R"({"optimizer": {"type": "AdamW"}, "gradient_clipping": 0)";
  if (given.train)
    text += fmt::format(",\n\"train_batch_size\": {}", given.train);
  if (given.micro)
    text += fmt::format(",\n\"train_micro_batch_size_per_gpu\": {}", given.micro);
  if (given.accumulation)
    text += fmt::format(",\n\"gradient_accumulation_steps\": {}", given.accumulation);
  return read(text + "\n}", {fmt::format("mesh.data={}", ranks)});
}

void expectBatch(const Batch &given, int64_t ranks, const Batch &expected) {
  ConfigResult result = readBatch(given, ranks);
  ASSERT_THAT(errors(result), testing::IsEmpty());
  EXPECT_EQ(result.config->trainBatch, expected.train);
  EXPECT_EQ(result.config->microBatch, expected.micro);
  EXPECT_EQ(result.config->accumulation, expected.accumulation);
  EXPECT_EQ(result.config->mesh.data, ranks);
}

TEST(Batch, allGiven) { expectBatch({32, 4, 2}, 4, {32, 4, 2}); }
TEST(Batch, trainAndMicro) { expectBatch({32, 4, 0}, 2, {32, 4, 4}); }
TEST(Batch, trainAndAccumulation) { expectBatch({32, 0, 4}, 2, {32, 4, 4}); }
TEST(Batch, microAndAccumulation) { expectBatch({0, 4, 2}, 3, {24, 4, 2}); }
TEST(Batch, trainAlone) { expectBatch({32, 0, 0}, 4, {32, 8, 1}); }
TEST(Batch, microAlone) { expectBatch({0, 8, 0}, 4, {32, 8, 1}); }
TEST(Batch, twoRanksRoundDown) { expectBatch({24, 6, 0}, 2, {24, 6, 2}); }

TEST(Batch, neitherTrainNorMicro) {
  const std::string message = "c.json: either train_batch_size or train_micro_batch_size_per_gpu "
                              "is needed (\"auto\" counts as absent); the "
                              "samples of one rank's micro-batch are the usual choice";
  EXPECT_THAT(errors(readBatch({0, 0, 4}, 1)), ElementsAre(message));
  EXPECT_THAT(errors(readBatch({}, 1)), ElementsAre(message));
}

TEST(Batch, autoIsDerived) {
  ConfigResult result = read(R"({"train_batch_size": "auto", "train_micro_batch_size_per_gpu": 4,
                                 "gradient_accumulation_steps": "auto", "optimizer": {"type": "AdamW"}})");
  ASSERT_THAT(errors(result), testing::IsEmpty());
  EXPECT_EQ(result.config->trainBatch, 4);
}

// The case measured on DeepSpeed itself: 33 != 4 * 8 * 1.
TEST(Batch, totalThatDoesNotDivide) {
  EXPECT_THAT(
      errors(readBatch({33, 4, 0}, 1)),
      ElementsAre("c.json:2: train_batch_size: 33 is not train_micro_batch_size_per_gpu 4 x "
                  "gradient_accumulation_steps 8 (derived) x data-parallel size 1 = 32; choose 32 "
                  "or 36, or "
                  "leave one of the three keys out"));
}

TEST(Batch, threeThatDisagree) {
  EXPECT_THAT(errors(readBatch({30, 4, 2}, 4)),
              ElementsAre(HasSubstr(
                  "30 is not train_micro_batch_size_per_gpu 4 x gradient_accumulation_steps 2 x "
                  "data-parallel size 4 = 32; choose 32,")));
}

TEST(Batch, totalSmallerThanTheRanks) {
  EXPECT_THAT(errors(readBatch({2, 0, 0}, 4)),
              ElementsAre(HasSubstr("data-parallel size 4 = 0; choose 4,")));
}

TEST(Batch, valuesOutOfRange) {
  EXPECT_THAT(
      errors(readBatch({-1, -4, int64_t(1) << 40}, 1)),
      ElementsAre(
          "c.json:2: train_batch_size: expected an integer between 1 and 2147483647, found -1",
          "c.json:3: train_micro_batch_size_per_gpu: expected an integer between 1 and 2147483647, "
          "found -4",
          "c.json:4: gradient_accumulation_steps: expected an integer between 1 and 2147483647, "
          "found "
          "1099511627776"));
  EXPECT_THAT(errors(readBatch({0, 2000000000, 2000000000}, 1000000)),
              ElementsAre(HasSubstr("is more than 2147483647 samples a step")));
}

// What the file says of the batch can be right or wrong only once the ranks are known.
TEST(Batch, faultOfTheMeshHasOneMessage) {
  EXPECT_THAT(
      errors(readBatch({32, 4, 4}, 0)),
      ElementsAre(HasSubstr("--set: deepshard.mesh.data: expected an integer between 1 and")));
  EXPECT_THAT(errors(read(withOptimizer(R"("train_batch_size": 32, "gradient_accumulation_steps": 2,
                                           "deepshard": {"mesh": {"data": "2"}})"))),
              ElementsAre("c.json:2: deepshard.mesh.data: expected an integer, found the string "
                          "\"2\""));
}

TEST(Batch, tensorRanksShareTheirSamples) {
  ConfigResult result =
      read(withOptimizer(R"("gradient_accumulation_steps": 3)"), {"mesh.data=2", "mesh.tensor=4"});
  ASSERT_THAT(errors(result), testing::IsEmpty());
  EXPECT_EQ(result.config->trainBatch, 8 * 3 * 2);
  EXPECT_EQ(result.config->mesh.ranks(), 8);
}

TEST(Batch, wrongTypeHasOneMessage) {
  EXPECT_THAT(
      errors(read(R"({"train_micro_batch_size_per_gpu": "8", "optimizer": {"type": "AdamW"}})")),
      ElementsAre(
          "c.json:1: train_micro_batch_size_per_gpu: expected an integer or null, found the string "
          "\"8\""));
}

TEST(Batch, inferenceNeedsNone) {
  ConfigOptions options;
  options.training = false;
  ConfigResult result = parseConfigText("{}", "c.json", options);
  ASSERT_THAT(errors(result), testing::IsEmpty());
  EXPECT_EQ(result.config->microBatch, 1);
  EXPECT_FALSE(result.config->optimizer);
}

} // namespace
