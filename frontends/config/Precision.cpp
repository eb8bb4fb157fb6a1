#include "frontends/config/Reader.h"

#include <fmt/format.h>

namespace deepshard {
namespace {

constexpr std::string_view kAutocast = "torch_autocast.enabled";

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

void readAutocast(Reader &reader) {
  constexpr std::string_view kDtype = "torch_autocast.dtype";
  constexpr std::string_view kModules = "torch_autocast.lower_precision_safe_modules";
  std::string dtype = reader.text(kDtype).value_or("bfloat16");
  if (dtype != "bfloat16" && dtype != "bf16" && dtype != "torch.bfloat16")
    reader.error(kDtype, fmt::format("\"{}\" is not supported yet; use \"bfloat16\"", dtype));
  if (reader.find(kModules))
    reader.note(kModules, "accepted without effect: gradients are reduced and parameters gathered "
                          "in fp32 for all modules");
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
  const bool autocast = reader.boolean(kAutocast).value_or(false);
  if (bf16 && autocast)
    reader.error(kAutocast, fmt::format("cannot be used together with {}: that computes with "
                                        "parameters in bf16, this with parameters in fp32",
                                        enabled));
  if (bf16)
    readBf16(reader, section);
  if (autocast)
    readAutocast(reader);
  config.precision = bf16 ? Precision::BF16 : autocast ? Precision::Autocast : Precision::F32;
  readDataType(reader, "data_types.grad_accum_dtype", {"fp32"},
               "gradients are added up in fp32; other types are not supported yet");
  readDataType(reader, "data_types.param_dtype", {bf16 ? "bf16" : "fp32"},
               "the type of the parameters follows from bf16.enabled");
  readDataType(reader, "data_types.buffer_dtype", {"fp32"},
               "buffers are kept in fp32; other types are not supported yet");
}

} // namespace deepshard
