#include "frontends/config/Nearest.h"
#include "frontends/config/Reader.h"
#include "frontends/config/Schema.h"

#include <algorithm>
#include <fmt/format.h>
#include <limits>

namespace deepshard {
namespace {

constexpr double kMaxNumber = std::numeric_limits<double>::max();

/// What DeepSpeed builds itself, by lower-case name, and what it takes from torch.optim, by exact
/// name.
const std::vector<std::string> kDeepSpeedTypes = {
    "Adam", "AdamW",   "Lamb", "OneBitAdam", "ZeroOneAdam", "OneBitLamb",
    "Lion", "Adagrad", "Muon", "MuAdam",     "MuAdamW",     "MuSGD"};
const std::vector<std::string> kTorchTypes = {"SGD",        "RMSprop",   "Adadelta", "Adamax",
                                              "ASGD",       "NAdam",     "RAdam",    "Rprop",
                                              "SparseAdam", "Adafactor", "LBFGS"};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; });
  return text;
}

/// DeepSpeed's spelling of the type, or empty after an error.
std::string canonicalType(Reader &reader, const std::string &type) {
  std::vector<std::string> all = kDeepSpeedTypes;
  all.insert(all.end(), kTorchTypes.begin(), kTorchTypes.end());
  for (const std::string &known : all) {
    if (lower(known) != lower(type))
      continue;
    if (known == "Adam" || known == "AdamW")
      return known;
    reader.error(
        "optimizer.type",
        fmt::format("{} is known, not supported yet; supported are AdamW and Adam", known));
    return {};
  }
  std::string guess = nearest(type, all);
  reader.error("optimizer.type",
               fmt::format("unknown optimizer \"{}\"{}; supported are AdamW and Adam", type,
                           guess.empty() ? "" : fmt::format(", did you mean \"{}\"?", guess)));
  return {};
}

void readBetas(Reader &reader, Optimizer &optimizer) {
  constexpr std::string_view kKey = "optimizer.params.betas";
  const json::Value *betas = reader.find(kKey);
  if (!betas || betas->kind != json::Kind::Array)
    return;
  bool valid = betas->items.size() == 2;
  for (const json::Value &item : betas->items)
    valid &= item.isNumber() && item.number >= 0 && item.number < 1;
  if (!valid) {
    reader.error(kKey,
                 fmt::format("expected two numbers from 0 to below 1, as [0.9, 0.999], found {}",
                             json::print(*betas)));
    return;
  }
  optimizer.beta1 = betas->items[0].number;
  optimizer.beta2 = betas->items[1].number;
}

} // namespace

void readOptimizer(Reader &reader, const ConfigOptions &options, TrainingConfig &config) {
  const json::Value *section = reader.find("optimizer");
  if (!section) {
    if (options.training)
      reader.error("optimizer",
                   "training needs an optimizer and the configuration has none; add for example "
                   "\"optimizer\": {\"type\": \"AdamW\", \"params\": {\"lr\": 3e-4}}");
    return;
  }
  std::optional<std::string> type = reader.text("optimizer.type");
  if (!type) {
    if (section->isObject() && !reader.find("optimizer.type"))
      reader.error("optimizer.type", "the optimizer has no type; supported are AdamW and Adam");
    return;
  }
  std::string known = canonicalType(reader, *type);
  if (known.empty())
    return;
  if (const json::Value *params = reader.find("optimizer.params"); params && params->isObject())
    checkAgainstSchema(*params, {.prefix = "@Adam", .path = "optimizer.params"},
                       reader.result().errors, reader.result().notes);

  Optimizer optimizer;
  optimizer.lr = reader.numberWithin("optimizer.params.lr", optimizer.lr, 0, kMaxNumber);
  readBetas(reader, optimizer);
  optimizer.eps = reader.numberWithin("optimizer.params.eps", optimizer.eps, 0, kMaxNumber);
  optimizer.biasCorrection = reader.boolean("optimizer.params.bias_correction").value_or(true);
  // "Adam" is AdamW unless adam_w_mode says otherwise; "AdamW" always is.
  optimizer.adamWMode =
      known == "AdamW" || reader.boolean("optimizer.params.adam_w_mode").value_or(true);
  optimizer.type = optimizer.adamWMode ? "AdamW" : "Adam";
  // With torch_adam DeepSpeed passes the parameters to PyTorch, whose AdamW decays by 0.01 unless
  // told otherwise and whose Adams always correct the bias.
  const bool torchAdam = reader.boolean("optimizer.params.torch_adam").value_or(false);
  optimizer.weightDecay = torchAdam && optimizer.adamWMode ? 0.01 : 0.0;
  optimizer.weightDecay =
      reader.numberWithin("optimizer.params.weight_decay", optimizer.weightDecay, 0, kMaxNumber);
  if (torchAdam && reader.find("optimizer.params.bias_correction"))
    reader.error(
        "optimizer.params.bias_correction",
        "not a parameter of PyTorch's Adam, which torch_adam asks for; leave one of the two out");
  if (reader.find("optimizer.params.max_grad_norm"))
    reader.error(
        "optimizer.params.max_grad_norm",
        "not a parameter of the optimizer; clip with \"gradient_clipping\" at the top level");
  if (known == "Adam" && optimizer.adamWMode && !reader.find("optimizer.params.adam_w_mode"))
    reader.note("optimizer.type",
                "\"Adam\" decouples weight decay (AdamW), as in DeepSpeed; set adam_w_mode to "
                "false in its params for decay added to the gradient");
  config.optimizer = optimizer;
}

} // namespace deepshard
