#include "frontends/config/Reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace deepshard {
namespace {

constexpr std::string_view kFp16 = "fp16.enabled", kAutocast = "torch_autocast.enabled";

/// The section under the name that the file uses for it; DeepSpeed knows two.
std::string_view sectionName(Reader &reader) {
  constexpr std::string_view kName = "bf16", kOldName = "bfloat16";
  if (!reader.find(kOldName))
    return kName;
  if (reader.find(kName))
    reader.error(kOldName, "the same section as bf16; keep one of the two");
  return kOldName;
}

/// Settings that act only while bf16 is on.
void readBf16(Reader &reader, std::string_view section) {
  auto key = [&](std::string_view name) { return fmt::format("{}.{}", section, name); };
  for (std::string_view name : {"bf16_master_weights_and_grads", "bf16_optimizer_states"})
    if (reader.boolean(key(name)).value_or(false))
      reader.error(key(name),
                   "known, not supported yet (found true): master weights, gradients and "
                   "optimizer states are kept in fp32; leave it out or set it to false");
  if (reader.boolean(key("immediate_grad_update")).value_or(false))
    reader.note(key("immediate_grad_update"),
                "accepted without effect: gradients are added up in fp32 as they are computed");
  if (reader.boolean(key("check_grad_overflow")))
    reader.note(key("check_grad_overflow"),
                "accepted without effect: ds-run stops where the loss is not finite");
}

/// Settings that act only while fp16 is on, those of the loss scale apart.
void readFp16(Reader &reader) {
  constexpr std::string_view kMasters = "fp16.fp16_master_weights_and_grads",
                             kCast = "fp16.auto_cast";
  if (reader.boolean(kMasters).value_or(false))
    reader.error(kMasters,
                 "known, not supported yet (found true): master weights and gradients are "
                 "kept in fp32; leave it out or set it to false");
  if (reader.boolean(kCast).value_or(false))
    reader.note(kCast, "accepted without effect: products convert what they read");
}

LossScale readLossScale(Reader &reader) {
  constexpr double kMost = std::numeric_limits<float>::max();
  constexpr int64_t kAny = std::numeric_limits<int64_t>::max();
  LossScale scale;
  if (double constant = reader.numberWithin("fp16.loss_scale", 0, 0, kMost); constant > 0) {
    scale.initial = constant;
    scale.window = 0;
    return scale;
  }
  constexpr int64_t kMostPower = 127; // of a finite fp32
  scale.initial = std::ldexp(
      1.0, static_cast<int>(reader.wholeWithin("fp16.initial_scale_power", 16, 0, kMostPower)));
  scale.window = reader.wholeWithin("fp16.loss_scale_window", scale.window, 1, kAny);
  scale.hysteresis = reader.wholeWithin("fp16.hysteresis", scale.hysteresis, 1, kAny);
  scale.consecutiveHysteresis = reader.boolean("fp16.consecutive_hysteresis").value_or(false);
  constexpr double kLeast = std::numeric_limits<float>::min();
  scale.minimum = reader.numberWithin("fp16.min_loss_scale", scale.minimum, kLeast, kMost);
  return scale;
}

Precision readAutocast(Reader &reader) {
  constexpr std::string_view kDtype = "torch_autocast.dtype";
  constexpr std::string_view kModules = "torch_autocast.lower_precision_safe_modules";
  const std::string dtype = reader.text(kDtype).value_or("bfloat16");
  auto isOneOf = [&](std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), dtype) != names.end();
  };
  const bool isF16 = isOneOf({"float16", "fp16", "half", "torch.float16"});
  if (!isF16 && !isOneOf({"bfloat16", "bf16", "torch.bfloat16"}))
    reader.error(kDtype,
                 fmt::format("\"{}\" is unknown; expected \"bfloat16\" or \"float16\"", dtype));
  if (reader.find(kModules))
    reader.note(kModules, "accepted without effect: gradients are reduced and parameters gathered "
                          "in fp32 for all modules");
  return isF16 ? Precision::F16 : Precision::BF16;
}

/// A data type that DeepSpeed lets a user repeat or change: one of `allowed`.
void readDataType(Reader &reader, std::string_view key,
                  std::initializer_list<std::string_view> allowed, std::string_view why) {
  std::optional<std::string> value = reader.text(key);
  if (!value)
    return;
  std::string expected;
  for (std::string_view each : allowed) {
    if (*value == each)
      return;
    expected += fmt::format("{}\"{}\"", expected.empty() ? "" : " or ", each);
  }
  reader.error(
      key, fmt::format("{}; leave it out or set it to {} (found \"{}\")", why, expected, *value));
}

} // namespace

void readPrecision(Reader &reader, TrainingConfig &config) {
  std::string_view section = sectionName(reader);
  std::string enabled = fmt::format("{}.enabled", section);
  const bool bf16 = reader.boolean(enabled).value_or(false);
  const bool fp16 = reader.boolean(kFp16).value_or(false);
  config.autocast = reader.boolean(kAutocast).value_or(false);
  if (fp16 && bf16)
    reader.error(kFp16, fmt::format("cannot be used together with {}: parameters and products have "
                                    "one type of the two",
                                    enabled));
  if ((bf16 || fp16) && config.autocast)
    reader.error(kAutocast, fmt::format("cannot be used together with {}: that computes with "
                                        "parameters in {}, this with parameters in fp32",
                                        bf16 ? enabled : kFp16, bf16 ? "bf16" : "fp16"));
  config.precision = bf16 ? Precision::BF16 : fp16 ? Precision::F16 : Precision::F32;
  if (bf16)
    readBf16(reader, section);
  if (fp16)
    readFp16(reader);
  if (config.autocast)
    config.precision = readAutocast(reader);
  if (config.precision == Precision::F16)
    config.lossScale = readLossScale(reader);
  readDataType(reader, "data_types.grad_accum_dtype", {"fp32"},
               "gradients are added up in fp32; other types are not supported yet");
  readDataType(reader, "data_types.param_dtype",
               {bf16   ? "bf16"
                : fp16 ? "fp16"
                       : "fp32"},
               "the type of the parameters follows from bf16.enabled and fp16.enabled");
  readDataType(reader, "data_types.buffer_dtype", {"fp32"},
               "buffers are kept in fp32; other types are not supported yet");
}

} // namespace deepshard
