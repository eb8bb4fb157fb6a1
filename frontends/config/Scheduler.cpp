#include "frontends/config/Nearest.h"
#include "frontends/config/Reader.h"
#include "frontends/config/Schema.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>

namespace deepshard {
namespace {

constexpr double kMaxNumber = std::numeric_limits<double>::max();
constexpr int64_t kMaxSteps = int64_t(1) << 53; // exact as a double

const std::vector<std::string> kSupported = {"WarmupLR", "WarmupDecayLR", "WarmupCosineLR"};
const std::vector<std::string> kKnown = {"OneCycle",
                                         "LRRangeTest",
                                         "LambdaLR",
                                         "MultiplicativeLR",
                                         "StepLR",
                                         "MultiStepLR",
                                         "ConstantLR",
                                         "LinearLR",
                                         "ExponentialLR",
                                         "PolynomialLR",
                                         "CosineAnnealingLR",
                                         "ChainedScheduler",
                                         "SequentialLR",
                                         "ReduceLROnPlateau",
                                         "CyclicLR",
                                         "OneCycleLR",
                                         "CosineAnnealingWarmRestarts"};

bool contains(const std::vector<std::string> &list, const std::string &word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

/// Whether the type is supported; if not, an error has been added.
bool isSupported(Reader &reader, const std::string &type) {
  if (contains(kSupported, type))
    return true;
  constexpr std::string_view kList = "supported are WarmupLR, WarmupDecayLR and WarmupCosineLR";
  if (contains(kKnown, type)) {
    reader.error("scheduler.type", fmt::format("{} is known, not supported yet; {}", type, kList));
    return false;
  }
  std::vector<std::string> all = kSupported;
  all.insert(all.end(), kKnown.begin(), kKnown.end());
  std::string guess = nearest(type, all);
  reader.error("scheduler.type",
               fmt::format("unknown scheduler \"{}\"{}; {}", type,
                           guess.empty() ? "" : fmt::format(", did you mean \"{}\"?", guess),
                           kList));
  return false;
}

/// A learning rate, alone or as a list with one element per parameter group, of which there is one.
double learningRate(Reader &reader, const std::string &key, double fallback) {
  const json::Value *value = reader.find(key);
  if (!value || value->kind != json::Kind::Array)
    return reader.numberWithin(key, fallback, 0, kMaxNumber);
  if (value->items.size() == 1 && value->items[0].isNumber() && value->items[0].number >= 0)
    return value->items[0].number;
  reader.error(
      key, fmt::format(
               "expected a number of at least 0, or a list of one for the single parameter group, "
               "found {}",
               json::print(*value)));
  return fallback;
}

void readTotalSteps(Reader &reader, Scheduler &scheduler) {
  constexpr std::string_view kKey = "scheduler.params.total_num_steps";
  if (!reader.find(kKey)) {
    reader.error(
        kKey,
        fmt::format("{} needs the number of steps of the whole run (\"auto\" counts as absent)",
                    scheduler.type));
    return;
  }
  scheduler.numbers["total_num_steps"] =
      static_cast<double>(reader.wholeWithin(kKey, 1, 1, kMaxSteps));
}

void readWarmup(Reader &reader, Scheduler &scheduler) {
  scheduler.numbers["warmup_num_steps"] = static_cast<double>(
      reader.wholeWithin("scheduler.params.warmup_num_steps", 1000, 1, kMaxSteps));
  scheduler.warmupType = reader.oneOf("scheduler.params.warmup_type", {"log", "linear"});
}

} // namespace

void readScheduler(Reader &reader, TrainingConfig &config) {
  const json::Value *section = reader.find("scheduler");
  if (!section || !section->isObject())
    return;
  std::optional<std::string> type = reader.text("scheduler.type");
  if (!type) {
    // DeepSpeed reads a section without a type, or with null, as no scheduler; parameters then are
    // a slip.
    if (reader.find("scheduler.params"))
      reader.error("scheduler.type",
                   "the scheduler has parameters and no type; supported are WarmupLR, "
                   "WarmupDecayLR and WarmupCosineLR");
    return;
  }
  if (!isSupported(reader, *type))
    return;
  const json::Value *params = reader.find("scheduler.params");
  if (params && params->isObject())
    checkAgainstSchema(*params, {.prefix = "@" + *type, .path = "scheduler.params"},
                       reader.result().errors, reader.result().notes);

  Scheduler &scheduler = config.scheduler;
  scheduler.type = *type;
  readWarmup(reader, scheduler);
  if (scheduler.type != "WarmupLR")
    readTotalSteps(reader, scheduler);
  const std::string prefix = "scheduler.params.";
  if (scheduler.type == "WarmupCosineLR") {
    scheduler.numbers["warmup_min_ratio"] =
        reader.numberWithin(prefix + "warmup_min_ratio", 0, 0, kMaxNumber);
    scheduler.numbers["cos_min_ratio"] =
        reader.numberWithin(prefix + "cos_min_ratio", 1e-4, 0, kMaxNumber);
  } else {
    const double optimizerLr = config.optimizer ? config.optimizer->lr : Optimizer().lr;
    scheduler.numbers["warmup_min_lr"] = learningRate(reader, prefix + "warmup_min_lr", 0);
    scheduler.numbers["warmup_max_lr"] = learningRate(
        reader, prefix + "warmup_max_lr", scheduler.type == "WarmupLR" ? optimizerLr : 1e-3);
    if (scheduler.numbers["warmup_min_lr"] > scheduler.numbers["warmup_max_lr"])
      reader.note(prefix + "warmup_min_lr",
                  "is above warmup_max_lr: the learning rate falls during warm-up");
  }
}

} // namespace deepshard
