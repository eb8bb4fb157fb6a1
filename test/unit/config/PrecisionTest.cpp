#include "ConfigTesting.h"

using namespace deepshard;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

/// The keys, with clipping given so that nothing else is noted.
ConfigResult with(const std::string &keys) {
  return read(withOptimizer("\"gradient_clipping\": 1,\n" + keys));
}

Precision precisionOf(const std::string &keys) {
  ConfigResult result = with(keys);
  EXPECT_THAT(errors(result), IsEmpty()) << keys;
  EXPECT_THAT(notes(result), IsEmpty()) << keys;
  return result.config ? result.config->precision : Precision::F32;
}

TEST(Precision, switches) {
  EXPECT_EQ(precisionOf("\"steps_per_print\": 1"), Precision::F32);
  EXPECT_EQ(precisionOf("\"bf16\": {\"enabled\": true}"), Precision::BF16);
  EXPECT_EQ(precisionOf("\"bf16\": {\"enabled\": \"auto\"}"), Precision::F32);
  EXPECT_EQ(precisionOf("\"bfloat16\": {\"enabled\": true}"), Precision::BF16);
  EXPECT_EQ(precisionOf("\"torch_autocast\": {\"enabled\": true}"), Precision::Autocast);
  EXPECT_EQ(precisionOf("\"torch_autocast\": {\"enabled\": true, \"dtype\": \"torch.bfloat16\"}"),
            Precision::Autocast);
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

TEST(Precision, settingsOfAutocast) {
  EXPECT_THAT(errors(with("\"torch_autocast\": {\"enabled\": true,\n\"dtype\": \"float16\"}")),
              ElementsAre("c.json:3: torch_autocast.dtype: \"float16\" is not supported yet; use "
                          "\"bfloat16\""));
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
  EXPECT_THAT(
      errors(with("\"data_types\": {\"grad_accum_dtype\": \"bf16\",\n\"param_dtype\": "
                  "\"bf16\",\n\"buffer_dtype\": \"bf16\"}")),
      ElementsAre("c.json:2: data_types.grad_accum_dtype: gradients are added up in fp32; "
                  "other types are not supported yet; leave it out or set it to \"fp32\" "
                  "(found \"bf16\")",
                  "c.json:3: data_types.param_dtype: the type of the parameters follows "
                  "from bf16.enabled; leave it out or set it to \"fp32\" (found \"bf16\")",
                  HasSubstr("c.json:4: data_types.buffer_dtype: buffers are kept in fp32")));
}

} // namespace
