#include "ConfigTesting.h"

#include <fmt/format.h>

using namespace deepshard;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

/// The keys, with clipping given so that nothing else is noted.
ConfigResult with(const std::string &keys) {
  return read(withOptimizer("\"gradient_clipping\": 1,\n" + keys));
}

/// The configuration that the keys give without a word.
TrainingConfig configOf(const std::string &keys) {
  ConfigResult result = with(keys);
  EXPECT_THAT(errors(result), IsEmpty()) << keys;
  EXPECT_THAT(notes(result), IsEmpty()) << keys;
  return result.config.value_or(TrainingConfig());
}

Precision precisionOf(const std::string &keys) { return configOf(keys).precision; }

TEST(Precision, switches) {
  EXPECT_EQ(precisionOf("\"steps_per_print\": 1"), Precision::F32);
  EXPECT_EQ(precisionOf("\"bf16\": {\"enabled\": true}"), Precision::BF16);
  EXPECT_EQ(precisionOf("\"bf16\": {\"enabled\": \"auto\"}"), Precision::F32);
  EXPECT_EQ(precisionOf("\"bfloat16\": {\"enabled\": true}"), Precision::BF16);
  EXPECT_EQ(precisionOf("\"fp16\": {\"enabled\": true}"), Precision::F16);
  EXPECT_FALSE(configOf("\"fp16\": {\"enabled\": true}").autocast);
  for (std::string_view dtype : {"", ", \"dtype\": \"torch.bfloat16\""})
    EXPECT_EQ(precisionOf(fmt::format("\"torch_autocast\": {{\"enabled\": true{}}}", dtype)),
              Precision::BF16);
  const TrainingConfig half =
      configOf("\"torch_autocast\": {\"enabled\": true, \"dtype\": \"float16\"}");
  EXPECT_EQ(half.precision, Precision::F16);
  EXPECT_TRUE(half.autocast);
  EXPECT_TRUE(half.lossScale);
  EXPECT_EQ(precisionOf("\"torch_autocast\": {\"enabled\": false, \"dtype\": \"float16\"}"),
            Precision::F32);
}

TEST(Precision, changesTheHash) {
  EXPECT_NE(with("\"bf16\": {\"enabled\": true}").config->hash,
            with("\"torch_autocast\": {\"enabled\": true}").config->hash);
  EXPECT_NE(with("\"bf16\": {\"enabled\": true}").config->hash,
            with("\"bf16\": {\"enabled\": false}").config->hash);
}

TEST(Precision, oneOfThem) {
  EXPECT_THAT(
      errors(with("\"bf16\": {\"enabled\": true},\n\"torch_autocast\": {\"enabled\": true}")),
      ElementsAre("c.json:3: torch_autocast.enabled: cannot be used together with "
                  "bf16.enabled: that computes with parameters in bf16, this with "
                  "parameters in fp32"));
  EXPECT_THAT(
      errors(with("\"fp16\": {\"enabled\": true},\n\"torch_autocast\": {\"enabled\": true}")),
      ElementsAre("c.json:3: torch_autocast.enabled: cannot be used together with "
                  "fp16.enabled: that computes with parameters in fp16, this with "
                  "parameters in fp32"));
  EXPECT_THAT(errors(with("\"bf16\": {\"enabled\": true},\n\"fp16\": {\"enabled\": true}")),
              ElementsAre("c.json:3: fp16.enabled: cannot be used together with bf16.enabled: "
                          "parameters and products have one type of the two"));
  EXPECT_THAT(errors(with("\"bf16\": {\"enabled\": true},\n\"bfloat16\": {\"enabled\": true}")),
              ElementsAre("c.json:3: bfloat16: the same section as bf16; keep one of the two"));
}

/// What is on counts; in a section that is off it does not.
TEST(Precision, settingsOfBf16) {
  const std::string settings = R"("bf16": {"enabled": false,
    "bf16_master_weights_and_grads": true,
    "bf16_optimizer_states": true, "check_grad_overflow": false})";
  EXPECT_EQ(precisionOf(settings), Precision::F32);
  std::string on = settings;
  on.replace(on.find("false"), 5, "true");
  EXPECT_THAT(
      errors(with(on)),
      ElementsAre(HasSubstr("c.json:3: bf16.bf16_master_weights_and_grads: known, not supported "
                            "yet (found true): master weights, gradients and optimizer states"),
                  HasSubstr("c.json:4: bf16.bf16_optimizer_states: known, not supported yet")));
  EXPECT_THAT(
      notes(with("\"bf16\": {\"enabled\": true,\n\"check_grad_overflow\": true,\n"
                 "\"immediate_grad_update\": true}")),
      ElementsAre(HasSubstr("c.json:3: bf16.check_grad_overflow: accepted without effect: ds-run "
                            "stops where the loss is not finite"),
                  HasSubstr("c.json:4: bf16.immediate_grad_update: accepted without effect")));
  EXPECT_THAT(errors(with("\"bf16\": {\"enabled\": 1}")),
              ElementsAre("c.json:2: bf16.enabled: expected true or false, found the number 1"));
}

TEST(Precision, settingsOfFp16) {
  EXPECT_THAT(
      errors(with("\"fp16\": {\"enabled\": true,\n\"fp16_master_weights_and_grads\": true}")),
      ElementsAre(HasSubstr("c.json:3: fp16.fp16_master_weights_and_grads: known, not "
                            "supported yet (found true)")));
  EXPECT_THAT(
      notes(with("\"fp16\": {\"enabled\": true,\n\"auto_cast\": true}")),
      ElementsAre("c.json:3: fp16.auto_cast: accepted without effect: products convert what "
                  "they read"));
  EXPECT_THAT(errors(with("\"fp16\": {\"enabled\": true, \"opt_level\": \"O1\"}")),
              ElementsAre(HasSubstr("fp16.opt_level: unknown")));
}

/// DeepSpeed's defaults; a constant scale in their place; one does not act without fp16.
TEST(Precision, lossScale) {
  const LossScale plain = configOf("\"fp16\": {\"enabled\": true}").lossScale.value();
  EXPECT_EQ(plain.initial, 65536);
  EXPECT_EQ(plain.window, 1000);
  EXPECT_EQ(plain.hysteresis, 2);
  EXPECT_FALSE(plain.consecutiveHysteresis);
  EXPECT_EQ(plain.minimum, 1);
  const LossScale given =
      configOf(R"("fp16": {"enabled": true, "loss_scale": 0, "initial_scale_power": 4,
                           "loss_scale_window": 7, "hysteresis": 3, "consecutive_hysteresis": true,
                           "min_loss_scale": 0.5})")
          .lossScale.value();
  EXPECT_EQ(given.initial, 16);
  EXPECT_EQ(given.window, 7);
  EXPECT_EQ(given.hysteresis, 3);
  EXPECT_TRUE(given.consecutiveHysteresis);
  EXPECT_EQ(given.minimum, 0.5);
  const LossScale constant =
      configOf("\"fp16\": {\"enabled\": true, \"loss_scale\": 128}").lossScale.value();
  EXPECT_EQ(constant.initial, 128);
  EXPECT_EQ(constant.window, 0);
  EXPECT_FALSE(configOf("\"fp16\": {\"enabled\": false, \"loss_scale\": 128}").lossScale);
  EXPECT_FALSE(configOf("\"bf16\": {\"enabled\": true}").lossScale);
}

TEST(Precision, lossScaleOutOfRange) {
  EXPECT_THAT(
      errors(with(R"("fp16": {"enabled": true,
        "initial_scale_power": 200,
        "loss_scale_window": 0,
        "hysteresis": 0,
        "min_loss_scale": 0})")),
      ElementsAre(
          HasSubstr("c.json:3: fp16.initial_scale_power: expected an integer between 0 and 127"),
          HasSubstr("c.json:4: fp16.loss_scale_window: expected an integer between 1 and"),
          HasSubstr("c.json:5: fp16.hysteresis: expected an integer between 1 and"),
          HasSubstr("c.json:6: fp16.min_loss_scale: expected a number between")));
  EXPECT_THAT(errors(with("\"fp16\": {\"enabled\": true, \"loss_scale\": -1}")),
              ElementsAre(HasSubstr("fp16.loss_scale: expected a number between 0 and")));
}

TEST(Precision, lossScaleChangesTheHash) {
  auto hash = [](const std::string &keys) {
    return configOf("\"fp16\": {\"enabled\": true" + keys + "}").hash;
  };
  EXPECT_NE(hash(""), hash(", \"loss_scale\": 65536"));
  EXPECT_NE(hash(""), hash(", \"hysteresis\": 1"));
}

TEST(Precision, settingsOfAutocast) {
  EXPECT_THAT(errors(with("\"torch_autocast\": {\"enabled\": true,\n\"dtype\": \"float8\"}")),
              ElementsAre("c.json:3: torch_autocast.dtype: \"float8\" is unknown; expected "
                          "\"bfloat16\" or \"float16\""));
  EXPECT_THAT(notes(with("\"torch_autocast\": {\"enabled\": true,\n"
                         "\"lower_precision_safe_modules\": [\"torch.nn.Linear\"]}")),
              ElementsAre(HasSubstr("c.json:3: torch_autocast.lower_precision_safe_modules: "
                                    "accepted without effect")));
}

TEST(Precision, dataTypes) {
  EXPECT_EQ(precisionOf("\"data_types\": {\"grad_accum_dtype\": \"fp32\", \"param_dtype\": "
                        "\"fp32\", \"buffer_dtype\": null}"),
            Precision::F32);
  EXPECT_EQ(precisionOf("\"bf16\": {\"enabled\": true}, \"data_types\": {\"grad_accum_dtype\": "
                        "\"fp32\", \"param_dtype\": \"bf16\"}"),
            Precision::BF16);
  EXPECT_EQ(
      precisionOf("\"fp16\": {\"enabled\": true}, \"data_types\": {\"param_dtype\": \"fp16\"}"),
      Precision::F16);
  EXPECT_THAT(
      errors(with("\"data_types\": {\"grad_accum_dtype\": \"bf16\",\n\"param_dtype\": "
                  "\"bf16\",\n\"buffer_dtype\": \"bf16\"}")),
      ElementsAre(
          "c.json:2: data_types.grad_accum_dtype: gradients are added up in fp32; "
          "other types are not supported yet; leave it out or set it to \"fp32\" "
          "(found \"bf16\")",
          "c.json:3: data_types.param_dtype: the type of the parameters follows "
          "from bf16.enabled and fp16.enabled; leave it out or set it to \"fp32\" (found \"bf16\")",
          HasSubstr("c.json:4: data_types.buffer_dtype: buffers are kept in fp32")));
}

} // namespace
