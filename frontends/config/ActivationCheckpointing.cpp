#include "frontends/config/Reader.h"

#include <fmt/format.h>
#include <limits>

namespace deepshard {

/// In DeepSpeed the section says how activations are checkpointed, and the model's code whether.
/// Models have no such code here, so a key of our own says it.
void readRecompute(Reader &reader, TrainingConfig &config) {
  constexpr std::string_view kMode = "deepshard.recompute";
  constexpr std::string_view kCount = "activation_checkpointing.number_checkpoints";
  constexpr std::string_view kPartition = "activation_checkpointing.partition_activations";
  Recompute &recompute = config.recompute;
  recompute.mode = reader.oneOf(kMode, {"selective", "none", "full"});
  const bool isFull = recompute.mode == "full";
  const std::string idle =
      fmt::format("without effect: {} is \"{}\", not \"full\"", kMode, recompute.mode);

  const int64_t count = reader.wholeWithin(kCount, 0, 1, std::numeric_limits<int32_t>::max());
  if (isFull)
    recompute.keptInputs = count;
  else if (count > 0)
    reader.note(kCount, idle);

  if (!reader.boolean(kPartition).value_or(false))
    return;
  if (!isFull)
    reader.note(kPartition, idle);
  else if (config.mesh.tensor == 1)
    reader.note(kPartition, "without effect: deepshard.mesh.tensor is 1");
  else
    reader.error(kPartition,
                 fmt::format("not supported yet with deepshard.mesh.tensor = {}: inputs of blocks "
                             "are kept as their layouts say (--explain shows them, pins change "
                             "them); leave it out or set it to false",
                             config.mesh.tensor));
}

} // namespace deepshard
