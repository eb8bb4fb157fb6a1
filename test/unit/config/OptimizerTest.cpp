#include "ConfigTesting.h"

using namespace deepshard;
using testing::ElementsAre;
using testing::IsEmpty;

namespace {

ConfigResult readOptimizer(const std::string &section) {
  return read("{\"train_micro_batch_size_per_gpu\": 8, \"gradient_clipping\": 1,\n\"optimizer\": " +
              section + "}");
}

TEST(Optimizer, defaultsAreDeepSpeeds) {
  ConfigResult result = readOptimizer(R"({"type": "AdamW"})");
  ASSERT_THAT(errors(result), IsEmpty());
  const Optimizer &optimizer = *result.config->optimizer;
  EXPECT_EQ(optimizer.type, "AdamW");
  EXPECT_EQ(optimizer.lr, 1e-3);
  EXPECT_EQ(optimizer.beta1, 0.9);
  EXPECT_EQ(optimizer.beta2, 0.999);
  EXPECT_EQ(optimizer.eps, 1e-8);
  EXPECT_EQ(optimizer.weightDecay, 0);
  EXPECT_TRUE(optimizer.biasCorrection);
}

TEST(Optimizer, parameters) {
  ConfigResult result =
      readOptimizer(R"({"type": "adamw", "params": {"lr": 3e-4, "betas": [0.8, 0.95], "eps": 1e-6,
                                          "weight_decay": 0.1, "bias_correction": false}})");
  ASSERT_THAT(errors(result), IsEmpty());
  const Optimizer &optimizer = *result.config->optimizer;
  EXPECT_EQ(optimizer.lr, 3e-4);
  EXPECT_EQ(optimizer.beta1, 0.8);
  EXPECT_EQ(optimizer.beta2, 0.95);
  EXPECT_EQ(optimizer.eps, 1e-6);
  EXPECT_EQ(optimizer.weightDecay, 0.1);
  EXPECT_FALSE(optimizer.biasCorrection);
}

TEST(Optimizer, adamIsAdamWUnlessToldOtherwise) {
  ConfigResult plain = readOptimizer(R"({"type": "Adam"})");
  ASSERT_THAT(errors(plain), IsEmpty());
  EXPECT_EQ(plain.config->optimizer->type, "AdamW");
  EXPECT_THAT(notes(plain), testing::Contains(testing::HasSubstr("adam_w_mode")));
  EXPECT_EQ(readOptimizer(R"({"type": "Adam", "params": {"adam_w_mode": false}})")
                .config->optimizer->type,
            "Adam");
  EXPECT_EQ(readOptimizer(R"({"type": "AdamW", "params": {"adam_w_mode": false}})")
                .config->optimizer->type,
            "AdamW");
}

TEST(Optimizer, torchAdamHasTorchDefaults) {
  EXPECT_EQ(readOptimizer(R"({"type": "AdamW", "params": {"torch_adam": true}})")
                .config->optimizer->weightDecay,
            0.01);
  EXPECT_EQ(
      readOptimizer(R"({"type": "Adam", "params": {"torch_adam": true, "adam_w_mode": false}})")
          .config->optimizer->weightDecay,
      0);
  EXPECT_THAT(
      errors(readOptimizer(
          R"({"type": "Adam", "params": {"torch_adam": true, "bias_correction": true}})")),
      ElementsAre(
          "c.json:2: optimizer.params.bias_correction: not a parameter of PyTorch's Adam, which "
          "torch_adam asks for; leave one of the two out"));
}

TEST(Optimizer, autoParametersTakeTheDefault) {
  ConfigResult result = readOptimizer(
      R"({"type": "AdamW", "params": {"lr": "auto", "betas": "auto", "weight_decay": "auto"}})");
  ASSERT_THAT(errors(result), IsEmpty());
  EXPECT_EQ(result.config->optimizer->lr, 1e-3);
}

TEST(Optimizer, faultsOfParametersTogether) {
  EXPECT_THAT(
      errors(
          readOptimizer("{\"type\": \"AdamW\", \"params\": {\n\"lr\": -1,\n\"betas\": [0.9, 1.0],\n"
                        "\"eps\": \"small\",\n\"weight_decy\": 0.1,\n\"amsgrad\": true,\n"
                        "\"max_grad_norm\": 1.0}}")),
      ElementsAre(
          "c.json:3: optimizer.params.lr: expected a number of at least 0, found -1",
          "c.json:4: optimizer.params.betas: expected two numbers from 0 to below 1, as [0.9, "
          "0.999], "
          "found [0.9, 1]",
          "c.json:5: optimizer.params.eps: expected a number, found the string \"small\"",
          "c.json:6: optimizer.params.weight_decy: unknown key; did you mean "
          "\"optimizer.params.weight_decay\"?",
          "c.json:7: optimizer.params.amsgrad: known, not supported yet (found "
          "true); "
          "leave it out or set it to false",
          "c.json:8: optimizer.params.max_grad_norm: not a parameter of the optimizer; clip with "
          "\"gradient_clipping\" at the top level"));
}

TEST(Optimizer, knownTypesThatAreNotSupportedYet) {
  for (const char *type : {"Lamb", "lion", "OneBitAdam", "Muon", "Adagrad", "SGD"})
    EXPECT_THAT(errors(readOptimizer("{\"type\": \"" + std::string(type) +
                                     "\", \"params\": {\"anything\": 1}}")),
                ElementsAre(testing::HasSubstr(
                    "is known, not supported yet; supported are AdamW and Adam")))
        << type;
}

TEST(Optimizer, unknownType) {
  EXPECT_THAT(errors(readOptimizer(R"({"type": "AdmaW"})")),
              ElementsAre("c.json:2: optimizer.type: unknown optimizer \"AdmaW\", did you mean "
                          "\"AdamW\"?; supported "
                          "are AdamW and Adam"));
}

TEST(Optimizer, noType) {
  EXPECT_THAT(
      errors(readOptimizer("{\"params\": {\"lr\": 1e-3}}")),
      ElementsAre(
          "c.json: optimizer.type: the optimizer has no type; supported are AdamW and Adam"));
}

TEST(Optimizer, noneIsRefusedForTraining) {
  EXPECT_THAT(
      errors(read(R"({"train_batch_size": 8})")),
      ElementsAre(
          "c.json: optimizer: training needs an optimizer and the configuration has none; add for "
          "example \"optimizer\": {\"type\": \"AdamW\", \"params\": {\"lr\": 3e-4}}"));
}

} // namespace
