#include "ConfigTesting.h"

#include <fmt/format.h>

using namespace deepshard;
using testing::ElementsAre;
using testing::IsEmpty;

namespace {

/// The section on the second line, with clipping given so that nothing else is noted.
ConfigResult readSection(const std::string &section, std::vector<std::string> overrides) {
  return read(withOptimizer("\"gradient_clipping\": 1,\n\"activation_checkpointing\": " + section),
              std::move(overrides));
}

TEST(ActivationCheckpointing, defaults) {
  const Recompute recompute = read(withOptimizer("")).config->recompute;
  EXPECT_EQ(recompute.mode, "selective");
  EXPECT_EQ(recompute.keptInputs, 0);
}

TEST(ActivationCheckpointing, modes) {
  for (const char *mode : {"none", "selective", "full"})
    EXPECT_EQ(read(withOptimizer(""), {fmt::format("recompute={}", mode)}).config->recompute.mode,
              mode);
  EXPECT_THAT(errors(read(withOptimizer("\n\"deepshard\": {\"recompute\": \"partial\"}"))),
              ElementsAre("c.json:2: deepshard.recompute: expected \"selective\", \"none\" or "
                          "\"full\", found \"partial\""));
}

/// As in DeepSpeed, where the code of the model says whether it checkpoints.
TEST(ActivationCheckpointing, theSectionAloneTurnsNothingOn) {
  ConfigResult result = readSection("{}", {});
  ASSERT_THAT(errors(result), IsEmpty());
  EXPECT_THAT(notes(result), IsEmpty());
  EXPECT_EQ(result.config->recompute.mode, "selective");
}

TEST(ActivationCheckpointing, numberOfCheckpoints) {
  ConfigResult full = readSection("{\"number_checkpoints\": 4}", {"recompute=full"});
  ASSERT_THAT(errors(full), IsEmpty());
  EXPECT_THAT(notes(full), IsEmpty());
  EXPECT_EQ(full.config->recompute.keptInputs, 4);
  EXPECT_NE(full.config->hash, readSection("{}", {"recompute=full"}).config->hash);

  const std::string key = "c.json:2: activation_checkpointing.number_checkpoints: ";
  ConfigResult idle = readSection("{\"number_checkpoints\": 4}", {"recompute=selective"});
  EXPECT_THAT(
      notes(idle),
      ElementsAre(key + "without effect: deepshard.recompute is \"selective\", not \"full\""));
  EXPECT_EQ(idle.config->recompute.keptInputs, 0);
  EXPECT_THAT(errors(readSection("{\"number_checkpoints\": 0}", {"recompute=full"})),
              ElementsAre(key + "expected an integer between 1 and 2147483647, found 0"));
}

TEST(ActivationCheckpointing, partitionedActivations) {
  const std::string on = "{\"partition_activations\": true}";
  const std::string key = "c.json:2: activation_checkpointing.partition_activations: ";
  EXPECT_THAT(errors(readSection(on, {"recompute=full", "mesh.tensor=2"})),
              ElementsAre(key +
                          "not supported yet with deepshard.mesh.tensor = 2: inputs of blocks are "
                          "kept as their layouts say (--explain shows them, pins change them); "
                          "leave it out or set it to false"));
  EXPECT_THAT(notes(readSection(on, {"recompute=full"})),
              ElementsAre(key + "without effect: deepshard.mesh.tensor is 1"));
  EXPECT_THAT(
      notes(readSection(on, {"mesh.tensor=2"})),
      ElementsAre(key + "without effect: deepshard.recompute is \"selective\", not \"full\""));
}

TEST(ActivationCheckpointing, otherKeys) {
  EXPECT_THAT(errors(readSection("{\"cpu_checkpointing\": true}", {"recompute=full"})),
              ElementsAre("c.json:2: activation_checkpointing.cpu_checkpointing: known, not "
                          "supported yet (found true); leave it out or set it to false"));
  ConfigResult result =
      readSection("{\"contiguous_memory_optimization\": true,\n"
                  "\"synchronize_checkpoint_boundary\": true,\n\"profile\": true}",
                  {});
  ASSERT_THAT(errors(result), IsEmpty());
  const std::string effect = ": accepted without effect: it concerns ";
  const std::string done = "how DeepSpeed goes about its work, which is done otherwise here, with "
                           "the same result";
  EXPECT_THAT(
      notes(result),
      ElementsAre(
          "c.json:2: activation_checkpointing.contiguous_memory_optimization" + effect + done,
          "c.json:3: activation_checkpointing.synchronize_checkpoint_boundary" + effect + done,
          "c.json:4: activation_checkpointing.profile" + effect +
              "only what DeepSpeed prints or its Python objects"));
}

} // namespace
