#include "ConfigTesting.h"

#include <cstdio>
#include <fstream>

using namespace deepshard;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

TEST(Config, aWholeFile) {
  ConfigResult result = read(R"({
    // DeepSpeed reads such files with hjson
    "train_batch_size": 16, "train_micro_batch_size_per_gpu": 8,
    "gradient_clipping": 0.5, "steps_per_print": 10, /* progress */
    "optimizer": {"type": "AdamW", "params": {"lr": 3e-4}},
    "scheduler": {"type": "WarmupLR", "params": {"warmup_num_steps": 10}},
    "zero_optimization": {"stage": 0, "allgather_bucket_size": 2e8, "offload_optimizer": {"device": "cpu"}},
    "fp16": {"enabled": false, "loss_scale_window": 100}, "bf16": {"enabled": "auto"},
    "deepshard": {"mesh": {"data": 1}, "bucket_size": 1000},  # ours
  })");
  ASSERT_THAT(errors(result), IsEmpty());
  EXPECT_EQ(result.config->trainBatch, 16);
  EXPECT_EQ(result.config->accumulation, 2);
  EXPECT_EQ(result.config->gradientClipping, 0.5);
  EXPECT_EQ(result.config->stepsPerPrint, 10);
  EXPECT_EQ(result.config->bucketSize, 1000);
  EXPECT_THAT(notes(result), IsEmpty());
}

TEST(Config, faultsOfOneFileTogether) {
  EXPECT_THAT(
      errors(read(R"({
  "train_batch_size": 33, "train_micro_batch_size_per_gpu": 4,
  "gradient_accumlation_steps": 8,
  "gradient_clipping": -1,
  "zero_optimization": {
    "stage": 4,
    "overlap_com": true
  },
  "amp": {"enabled": true},
  "activation_checkpointing": {"partitioned_activations": true},
  "steps_per_print": "often",
  "stage": 1,
  "train_batch_size": 5
})")),
      ElementsAre(
          "c.json: optimizer: training needs an optimizer and the configuration has none; add for "
          "example "
          "\"optimizer\": {\"type\": \"AdamW\", \"params\": {\"lr\": 3e-4}}",
          HasSubstr("c.json:2: train_batch_size: 33 is not train_micro_batch_size_per_gpu 4"),
          "c.json:3: gradient_accumlation_steps: unknown key; did you mean "
          "\"gradient_accumulation_steps\"?",
          "c.json:4: gradient_clipping: expected a number of at least 0, found -1",
          "c.json:6: zero_optimization.stage: expected 0, 1, 2 or 3, found the number 4",
          "c.json:7: zero_optimization.overlap_com: unknown key; did you mean "
          "\"zero_optimization.overlap_comm\"?",
          "c.json:9: amp.enabled: known, not supported yet (found true); leave "
          "it out or set "
          "it to false",
          "c.json:10: activation_checkpointing.partitioned_activations: unknown key; did you mean "
          "\"activation_checkpointing.partition_activations\"?",
          "c.json:11: steps_per_print: expected an integer or null, found the string \"often\"",
          "c.json:12: stage: unknown key; did you mean \"zero_optimization.stage\"?",
          "c.json:13: train_batch_size: the key is given twice, first on line 2; keep one"));
}

TEST(Config, clippingDefaultIsDeepSpeedsAndNoted) {
  ConfigResult result = read(withOptimizer(""));
  EXPECT_EQ(result.config->gradientClipping, 1.0);
  EXPECT_THAT(notes(result), ElementsAre(HasSubstr("c.json: gradient_clipping: not given")));
  EXPECT_EQ(read(withOptimizer("\"gradient_clipping\": 0")).config->gradientClipping, 0);
}

TEST(Config, ignoredKeysAreNoted) {
  EXPECT_THAT(notes(read(withOptimizer(
                  "\"gradient_clipping\": 1,\n\"wall_clock_breakdown\": true, \"dump_state\": "
                  "false"))),
              ElementsAre("c.json:2: wall_clock_breakdown: accepted without effect: it concerns "
                          "only what DeepSpeed "
                          "prints or its Python objects"));
}

TEST(Config, meshAxes) {
  ConfigResult result =
      read(withOptimizer(R"("deepshard": {"mesh": {"data": 2, "tensor": 3, "context": 4}})"));
  ASSERT_THAT(errors(result), IsEmpty());
  EXPECT_THAT(result.config->mesh.axes(),
              ElementsAre(testing::Pair("pipe", 1), testing::Pair("data", 2),
                          testing::Pair("context", 4), testing::Pair("tensor", 3)));
  EXPECT_EQ(result.config->mesh.ranks(), 24);
}

/// Ranks of the context axis share samples: the batch knows nothing of them.
TEST(Config, contextHasNoPartInTheBatch) {
  ConfigResult result = read(withOptimizer(R"("gradient_accumulation_steps": 3)"),
                             {"mesh.data=2", "mesh.context=4", "attention=ring"});
  ASSERT_THAT(errors(result), IsEmpty());
  EXPECT_EQ(result.config->trainBatch, result.config->microBatch * result.config->accumulation * 2);
  EXPECT_EQ(result.config->attention, "ring");
}

TEST(Config, attention) {
  EXPECT_THAT(errors(read(withOptimizer(""), {"mesh.context=2", "attention=rings"})),
              ElementsAre(HasSubstr("--set: deepshard.attention: ")));
  ConfigResult result = read(withOptimizer(""), {"attention=ulysses", "gradient_clipping=1"});
  ASSERT_THAT(errors(result), IsEmpty());
  ASSERT_EQ(result.notes.size(), 1u);
  EXPECT_EQ(result.notes[0].str(),
            "--set: deepshard.attention: without effect: deepshard.mesh.context is 1");
  EXPECT_EQ(read(withOptimizer(""), {"attention=auto"}).config->attention, "auto");
}

TEST(Config, chunksOfLogits) {
  EXPECT_EQ(read(withOptimizer("")).config->logitChunks, 0);
  EXPECT_EQ(read(withOptimizer(""), {"logit_chunks=auto"}).config->logitChunks, 0);
  EXPECT_EQ(read(withOptimizer(""), {"logit_chunks=1"}).config->logitChunks, 1);
  EXPECT_EQ(read(withOptimizer(""), {"logit_chunks=12"}).config->logitChunks, 12);
  EXPECT_THAT(errors(read(withOptimizer(""), {"logit_chunks=0"})),
              ElementsAre("--set: deepshard.logit_chunks: expected an integer between 1 and "
                          "1048576, found 0"));
}

TEST(Config, faultsOfTheMesh) {
  EXPECT_THAT(errors(read(withOptimizer(R"("deepshard": {"mesh": {
  "data": 2,
  "tensor": 0,
  "pipe": 2,
  "contxt": 1}})"))),
              ElementsAre("c.json:3: deepshard.mesh.tensor: expected an integer between 1 and "
                          "1048576, found 0",
                          "c.json:4: deepshard.mesh.pipe: an axis of size 2 is not supported yet; "
                          "leave it out or set it to 1",
                          "c.json:5: deepshard.mesh.contxt: unknown key; did you mean "
                          "\"deepshard.mesh.context\"?"));
}

TEST(Config, overrides) {
  ConfigResult result =
      read(withOptimizer("\"gradient_clipping\": 1"),
           {"optimizer.type=Adam", "optimizer.params.lr=5e-5", "gradient_clipping=2.5",
            "scheduler={\"type\": \"WarmupLR\"}", "mesh.data=1", "bucket_size=99",
            "gradient_accumulation_steps=4", "optimizer.params.adam_w_mode=false"});
  ASSERT_THAT(errors(result), IsEmpty());
  EXPECT_EQ(result.config->optimizer->type, "Adam");
  EXPECT_EQ(result.config->optimizer->lr, 5e-5);
  EXPECT_EQ(result.config->gradientClipping, 2.5);
  EXPECT_EQ(result.config->scheduler.type, "WarmupLR");
  EXPECT_EQ(result.config->bucketSize, 99);
  EXPECT_EQ(result.config->trainBatch, 32);
}

TEST(Config, faultsOfOverrides) {
  EXPECT_THAT(errors(read(withOptimizer(""),
                          {"gradient_clippin=1", "mesh.foo=2", "mesh.pipe=2", "noequals", "=3",
                           "a..b=1", "gradient_clipping.norm=1", "zero_optimization.stage=two"})),
              testing::UnorderedElementsAre(
                  "--set: gradient_clippin: unknown key; did you mean \"gradient_clipping\"?",
                  "--set: deepshard.mesh.foo: unknown key; \"deepshard.mesh\" has data, context, "
                  "tensor, pipe",
                  "--set: deepshard.mesh.pipe: an axis of size 2 is not supported yet; leave it "
                  "out or set it to 1",
                  "--set: expected KEY=VALUE with a dotted key, found \"noequals\"",
                  "--set: expected KEY=VALUE with a dotted key, found \"=3\"",
                  "--set: expected KEY=VALUE with a dotted key, found \"a..b=1\"",
                  "--set: gradient_clipping: expected a number, found an object",
                  "--set: zero_optimization.stage: expected 0, 1, 2 or 3, found the string "
                  "\"two\""));
  EXPECT_THAT(errors(read(withOptimizer("\"gradient_clipping\": 1"), {"gradient_clipping.norm=1"})),
              ElementsAre("--set: gradient_clipping.norm: a part of this key is not a section in "
                          "the configuration"));
}

TEST(Config, rootThatIsNoObject) {
  EXPECT_THAT(errors(read("\n[1]")), ElementsAre("c.json:2: expected an object, found an array"));
}

TEST(Config, syntaxFaultStopsTheOtherChecks) {
  EXPECT_THAT(errors(read("{\"gradient_clipping\": 1")),
              ElementsAre(HasSubstr("expected '}' to close")));
}

TEST(Config, hashFollowsWhatIsInEffect) {
  const uint64_t hash = read(withOptimizer("\"gradient_clipping\": 1")).config->hash;
  EXPECT_EQ(read(withOptimizer("\"gradient_clipping\": 1.0, \"dump_state\": false // same\n"))
                .config->hash,
            hash);
  EXPECT_EQ(read(withOptimizer("")).config->hash, hash);
  EXPECT_NE(read(withOptimizer("\"gradient_clipping\": 2")).config->hash, hash);
  for (const char *setting :
       {"optimizer.params.lr=0.5", "mesh.data=2", "mesh.context=2", "mesh.tensor=2",
        "attention=ring", "zero_optimization.stage=1",
        "zero_optimization.stage3_param_persistence_threshold=1",
        "zero_optimization.overlap_comm=false", "gradient_reduction=micro_batch",
        "parameter_gather=step", "bucket_size=1", "logit_chunks=2", "embedding_gradient=atomics"})
    EXPECT_NE(read(withOptimizer(""), {setting}).config->hash, hash) << setting;
}

TEST(Config, files) {
  std::string path = testing::TempDir() + "config_test.json";
  std::ofstream(path) << withOptimizer("");
  EXPECT_THAT(errors(parseConfigFile(path)), IsEmpty());
  std::remove(path.c_str());
  EXPECT_THAT(errors(parseConfigFile(path)),
              ElementsAre(path + ": cannot be read: No such file or directory"));
  EXPECT_THAT(errors(parseConfigFile(testing::TempDir())),
              ElementsAre(HasSubstr("cannot be read: ")));
}

TEST(Config, anEmptyFile) {
  std::string path = testing::TempDir() + "config_test_empty.json";
  std::ofstream(path).flush();
  EXPECT_THAT(errors(parseConfigFile(path)), ElementsAre(path + ":1: the file holds no value"));
  std::remove(path.c_str());
}

} // namespace
