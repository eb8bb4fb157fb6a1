#include "frontends/config/Reader.h"

#include <algorithm>
#include <fmt/format.h>
#include <limits>

namespace deepshard {
namespace {

constexpr int64_t kMaxWhole = std::numeric_limits<int64_t>::max();
constexpr int64_t kMaxBucket = int64_t(1) << 40;

/// DeepSpeed also reads the stage as a string, and the whole section as true (stage 1) or false.
int readStage(Reader &reader) {
  constexpr std::string_view kKey = "zero_optimization.stage";
  if (std::optional<bool> on = reader.boolean("zero_optimization"))
    return *on ? 1 : 0;
  const json::Value *value = reader.find(kKey);
  if (!value)
    return 0;
  for (int stage = 0; stage <= 3; ++stage)
    if (reader.whole(kKey) == stage || value->isString(std::to_string(stage)))
      return stage;
  // A value of another type is the schema's business.
  if (value->isWhole() || value->kind == json::Kind::String)
    reader.error(kKey, fmt::format("expected 0, 1, 2 or 3, found {}", json::describe(*value)));
  return 0;
}

/// A setting that DeepSpeed knows under two names.
int64_t wholeOfEither(Reader &reader, std::string_view key, std::string_view alias,
                      int64_t fallback) {
  if (reader.find(key) && reader.find(alias))
    reader.error(alias, fmt::format("the same setting as {}; keep one of the two", key));
  fallback = reader.wholeWithin(alias, fallback, 0, kMaxWhole);
  return reader.wholeWithin(key, fallback, 0, kMaxWhole);
}

int64_t readBucketSize(Reader &reader, int64_t fallback) {
  constexpr std::string_view kOurs = "deepshard.bucket_size";
  constexpr std::string_view kTheirs = "zero_optimization.reduce_bucket_size";
  const int64_t theirs = reader.wholeWithin(kTheirs, fallback, 1, kMaxBucket);
  const int64_t ours = reader.wholeWithin(kOurs, theirs, 1, kMaxBucket);
  if (reader.find(kTheirs) && ours != theirs)
    reader.note(kTheirs, fmt::format("without effect: {} is given, {}", kOurs, ours));
  return ours;
}

/// The size of a group of neighbours among the data ranks; all of them if the key is off (`off`).
int64_t readGroup(Reader &reader, std::string_view key, int64_t off, const TrainingConfig &config) {
  const int64_t data = config.mesh.data;
  const int64_t size = reader.whole(key).value_or(off);
  if (size == off || size == 0)
    return data;
  if (config.zero.stage != 3) {
    reader.note(key, "without effect below stage 3");
    return data;
  }
  if (size >= 2 && data % size == 0)
    return size;
  reader.error(key, fmt::format("groups of {} do not make up the {} ranks of deepshard.mesh.data; "
                                "choose a number from 2 on that divides it",
                                size, data));
  return data;
}

/// Groups of ZeRO-3: of ranks that hold all parts between them, and of ranks that the backward
/// gathers from.
void readGroups(Reader &reader, TrainingConfig &config) {
  constexpr std::string_view kParts = "zero_optimization.mics_shard_size";
  constexpr std::string_view kRegather = "zero_optimization.zero_hpz_partition_size";
  Zero &zero = config.zero;
  zero.shardSize = readGroup(reader, kParts, -1, config);
  zero.regatherSize = std::min(readGroup(reader, kRegather, 1, config), zero.shardSize);
  if (zero.regatherSize < zero.shardSize && zero.shardSize < config.mesh.data)
    reader.error(kRegather, fmt::format("cannot be used together with {}", kParts));
  if (zero.regatherSize < zero.shardSize && zero.parameterGather != "regather")
    reader.note(kRegather, fmt::format("without effect: with deepshard.parameter_gather \"{}\" the "
                                       "backward gathers nothing",
                                       zero.parameterGather));
}

} // namespace

void readZero(Reader &reader, TrainingConfig &config) {
  Zero &zero = config.zero;
  zero.stage = readStage(reader);
  zero.persistenceThreshold =
      wholeOfEither(reader, "zero_optimization.stage3_param_persistence_threshold",
                    "zero_optimization.param_persistence_threshold", zero.persistenceThreshold);
  zero.overlap = reader.boolean("zero_optimization.overlap_comm").value_or(zero.overlap);
  zero.gradientReduction = reader.oneOf("deepshard.gradient_reduction", {"step", "micro_batch"});
  zero.parameterGather =
      reader.oneOf("deepshard.parameter_gather", {"regather", "micro_batch", "step"});
  readGroups(reader, config);
  config.bucketSize = readBucketSize(reader, config.bucketSize);
}

} // namespace deepshard
