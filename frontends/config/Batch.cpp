#include "frontends/config/Reader.h"

#include <fmt/format.h>

namespace deepshard {
namespace {

constexpr std::string_view kTrain = "train_batch_size";
constexpr std::string_view kMicro = "train_micro_batch_size_per_gpu";
constexpr std::string_view kAccumulation = "gradient_accumulation_steps";
constexpr std::string_view kData = "deepshard.mesh.data";
/// The plan stores batch sizes in 32 bits.
constexpr int64_t kMaxBatch = 0x7FFFFFFF;

bool inRange(Reader &reader, std::string_view key, const std::optional<int64_t> &value) {
  if (!value || (*value > 0 && *value <= kMaxBatch))
    return true;
  reader.error(key,
               fmt::format("expected an integer between 1 and {}, found {}", kMaxBatch, *value));
  return false;
}

/// The two nearest totals that divide, for advice.
std::string nearestTotals(int64_t total, int64_t unit) {
  int64_t below = total / unit * unit;
  return below > 0 ? fmt::format("{} or {}", below, below + unit) : fmt::format("{}", below + unit);
}

} // namespace

/// The table of DeepSpeed (T = train_batch_size, m = train_micro_batch_size_per_gpu, g =
/// gradient_accumulation_steps, W = deepshard.mesh.data, // rounds down):
///
///   given     derived
///   T, m      g = (T // m) // W
///   T, g      m = (T // W) // g
///   m, g      T = m g W
///   T         g = 1, m = T // W
///   m         g = 1, T = m W
///   g or none an error
///
/// then always T == m g W with all three above 0.
void readBatch(Reader &reader, const ConfigOptions &options, TrainingConfig &config) {
  std::optional<int64_t> train = reader.whole(kTrain), micro = reader.whole(kMicro),
                         accumulation = reader.whole(kAccumulation);
  const int64_t ranks = config.mesh.data;
  // All three are looked at, so that every fault is named.
  bool valid = inRange(reader, kTrain, train);
  valid &= inRange(reader, kMicro, micro);
  valid &= inRange(reader, kAccumulation, accumulation);
  // A data axis at fault has its own message too, and says nothing about the batch.
  valid &= !reader.find(kData) || reader.whole(kData) == config.mesh.data;
  if (!valid)
    return;
  if (!train && !micro) {
    if (options.training) {
      // A batch key of a wrong type has its own message.
      if (!reader.find(kTrain) && !reader.find(kMicro))
        reader.error(
            "",
            fmt::format("either {} or {} is needed (\"auto\" counts as absent); the samples of one "
                        "rank's micro-batch are the usual choice",
                        kTrain, kMicro));
      return;
    }
    micro = 1;
  }
  const bool microGiven = micro.has_value(), accumulationGiven = accumulation.has_value();
  if (train) {
    if (micro && !accumulation)
      accumulation = *train / *micro / ranks;
    else if (!micro && accumulation)
      micro = *train / ranks / *accumulation;
    else if (!micro)
      micro = *train / ranks;
  }
  config.accumulation = accumulation.value_or(1);
  config.microBatch = *micro;
  const __int128 product = static_cast<__int128>(config.microBatch) * config.accumulation * ranks;
  if (product > kMaxBatch) {
    reader.error(microGiven ? kMicro : kTrain,
                 fmt::format("{} {} x {} {} x data-parallel size {} is more than {} samples a step",
                             kMicro, config.microBatch, kAccumulation, config.accumulation, ranks,
                             kMaxBatch));
    return;
  }
  config.trainBatch = train.value_or(static_cast<int64_t>(product));
  if (config.trainBatch == product && product > 0)
    return;
  const int64_t unit = (microGiven ? *micro : 1) * (accumulationGiven ? *accumulation : 1) * ranks;
  reader.error(kTrain,
               fmt::format("{} is not {} {}{} x {} {}{} x data-parallel size {} = {}; choose {}, "
                           "or leave one of the "
                           "three keys out",
                           config.trainBatch, kMicro, config.microBatch,
                           microGiven ? "" : " (derived)", kAccumulation, config.accumulation,
                           accumulationGiven ? "" : " (derived)", ranks,
                           static_cast<int64_t>(product), nearestTotals(config.trainBatch, unit)));
}

} // namespace deepshard
