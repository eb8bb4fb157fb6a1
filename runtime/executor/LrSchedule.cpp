//===- LrSchedule.cpp - the learning rate of each step ----------------------------------------===//

#include "runtime/executor/LrSchedule.h"

#include "runtime/plan/Error.h"
#include "runtime/plan/plan.pb.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <string>
#include <vector>

namespace deepshard::runtime {

LrSchedule::LrSchedule(const planpb::Training &training) : rate(training.learning_rate()) {
  const planpb::LrSchedule &from = training.schedule();
  std::vector<std::string> known;
  auto number = [&](const char *name, std::optional<double> standard) {
    known.emplace_back(name);
    auto found = from.numbers().find(name);
    if (found != from.numbers().end())
      return found->second;
    if (!standard)
      throw Error(fmt::format("schedule {}: {} is missing", from.type(), name));
    return *standard;
  };
  if (from.type().empty())
    return;
  if (from.type() == "WarmupLR" || from.type() == "WarmupDecayLR") {
    bool hasDecay = from.type() == "WarmupDecayLR";
    kind = hasDecay ? Kind::WarmupDecay : Kind::Warmup;
    lowest = number("warmup_min_lr", 0);
    highest = number("warmup_max_lr", hasDecay ? 1e-3 : rate);
    if (hasDecay)
      totalSteps = number("total_num_steps", std::nullopt);
  } else if (from.type() == "WarmupCosineLR") {
    kind = Kind::WarmupCosine;
    totalSteps = number("total_num_steps", std::nullopt);
    warmupRatio = number("warmup_min_ratio", 0);
    cosineRatio = number("cos_min_ratio", 1e-4);
  } else {
    throw Error(fmt::format("schedule {} is not known; WarmupLR, WarmupDecayLR and WarmupCosineLR "
                            "are",
                            from.type()));
  }
  warmupSteps = std::max(2.0, number("warmup_num_steps", 1000));
  isLinear = from.warmup_type() == "linear";
  if (!isLinear && !from.warmup_type().empty() && from.warmup_type() != "log")
    throw Error(fmt::format("schedule {}: warmup_type is {}, log or linear was expected",
                            from.type(), from.warmup_type()));
  for (const auto &[name, value] : from.numbers())
    if (std::find(known.begin(), known.end(), name) == known.end())
      throw Error(fmt::format("schedule {}: {} is not known; {} are", from.type(), name,
                              fmt::join(known, ", ")));
}

double LrSchedule::warmup(double t) const {
  // The factor 1 / ln N is rounded first, as DeepSpeed does.
  return isLinear ? t / warmupSteps : 1.0 / std::log(warmupSteps) * std::log(t + 1);
}

double LrSchedule::at(uint64_t step) const {
  double t = static_cast<double>(step) - 2;
  double decaySteps = std::max(1.0, totalSteps - warmupSteps);
  switch (kind) {
  case Kind::Constant:
    return rate;
  case Kind::Warmup:
  case Kind::WarmupDecay: {
    double gamma = 0;
    if (t >= 0 && t < warmupSteps)
      gamma = warmup(t);
    else if (t >= 0)
      gamma = kind == Kind::Warmup ? 1 : std::max(0.0, (totalSteps - t) / decaySteps);
    return lowest + (highest - lowest) * gamma;
  }
  case Kind::WarmupCosine: {
    if (t < 0)
      return 0;
    if (t < warmupSteps)
      return rate * (warmupRatio + warmup(t) * (1 - warmupRatio));
    double progress = std::min(1.0, (t - warmupSteps + 1) / decaySteps);
    double ratio = (1 + std::cos(std::numbers::pi * progress)) / 2;
    return rate * std::max(0.0, cosineRatio + (1 - cosineRatio) * ratio);
  }
  }
  return rate;
}

} // namespace deepshard::runtime
