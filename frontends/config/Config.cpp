#include "frontends/config/Config.h"

#include "frontends/config/Reader.h"
#include "frontends/config/Schema.h"
#include "frontends/config/Source.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <limits>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace deepshard {
namespace {

using json::Kind;
using json::Value;

constexpr const char *kOverrideFile = "--set";
/// The product of the three axes that may be above 1 stays within 64 bits.
constexpr int64_t kMaxAxis = int64_t(1) << 20;

/// `mesh.data` is short for `deepshard.mesh.data`: true if the first part of the key is a key of
/// that section and not one of DeepSpeed's own.
bool isShortKey(std::string_view key) {
  std::string_view first = key.substr(0, key.find('.'));
  bool own = false;
  for (const SchemaKey &row : schema()) {
    if (row.path == first)
      return false;
    own |= row.path.starts_with("deepshard.") && row.path.substr(strlen("deepshard.")) == first;
  }
  return own;
}

Value overrideValue(const std::string &text) {
  std::vector<Diagnostic> faults;
  std::optional<Value> value = json::parse(text, kOverrideFile, faults);
  if (!value || !faults.empty()) {
    value.emplace();
    value->kind = Kind::String;
    value->text = text;
    value->file = kOverrideFile;
  }
  return *value;
}

/// The members on an override's value carry the lines of its text, which mean nothing to the user.
void clearLines(Value &value) {
  value.line = 0;
  for (Value &item : value.items)
    clearLines(item);
  for (json::Member &member : value.members) {
    member.line = 0;
    clearLines(member.value);
  }
}

/// Sets the value at the dotted `key`, making the sections on the way; false if one of them is not
/// an object.
bool setValue(Value &root, std::string_view key, Value value) {
  Value *object = &root;
  while (true) {
    if (!object->isObject())
      return false;
    size_t dot = key.find('.');
    std::string_view part = key.substr(0, dot);
    auto member =
        std::find_if(object->members.begin(), object->members.end(),
                     [&](const json::Member &candidate) { return candidate.key == part; });
    if (member == object->members.end()) {
      Value section;
      section.kind = Kind::Object;
      section.file = kOverrideFile;
      member = object->members.insert(member, {std::string(part), 0, std::move(section)});
    }
    if (dot == std::string_view::npos) {
      member->line = 0;
      member->value = std::move(value);
      return true;
    }
    object = &member->value;
    key.remove_prefix(dot + 1);
  }
}

void applyOverride(Value &root, const std::string &text, std::vector<Diagnostic> &errors) {
  size_t equals = text.find('=');
  std::string key = text.substr(0, equals);
  bool malformed = equals == std::string::npos || key.empty() || key.front() == '.' ||
                   key.back() == '.' || key.find("..") != std::string::npos;
  if (malformed) {
    errors.push_back({kOverrideFile, 0, "",
                      fmt::format("expected KEY=VALUE with a dotted key, found \"{}\"", text)});
    return;
  }
  if (isShortKey(key))
    key = "deepshard." + key;
  Value value = overrideValue(text.substr(equals + 1));
  clearLines(value);
  if (!setValue(root, key, std::move(value)))
    errors.push_back(
        {kOverrideFile, 0, key, "a part of this key is not a section in the configuration"});
}

void readMesh(Reader &reader, TrainingConfig &config) {
  Mesh &mesh = config.mesh;
  for (auto [key, size] : {std::pair("deepshard.mesh.data", &mesh.data),
                           std::pair("deepshard.mesh.context", &mesh.context),
                           std::pair("deepshard.mesh.tensor", &mesh.tensor),
                           std::pair("deepshard.mesh.pipe", &mesh.pipe)})
    *size = reader.wholeWithin(key, 1, 1, kMaxAxis);
  if (mesh.pipe > 1)
    reader.error("deepshard.mesh.pipe",
                 fmt::format("an axis of size {} is not supported yet; leave it out or set it to 1",
                             mesh.pipe));
  config.attention = reader.oneOf("deepshard.attention", {"auto", "ulysses", "ring"});
  if (config.attention != "auto" && mesh.context == 1)
    reader.note("deepshard.attention", "without effect: deepshard.mesh.context is 1");
}

/// As JSON, so that no text can be taken for two settings.
std::string quoted(const std::string &text) {
  Value value;
  value.kind = Kind::String;
  value.text = text;
  return json::print(value);
}

void readRest(Reader &reader, TrainingConfig &config) {
  config.gradientClipping =
      reader.numberWithin("gradient_clipping", 1.0, 0, std::numeric_limits<double>::max());
  if (!reader.find("gradient_clipping") && config.optimizer)
    reader.note("gradient_clipping",
                "not given: gradients are clipped to norm 1.0, DeepSpeed's default; 0 turns "
                "clipping off");
  config.logitChunks = reader.wholeWithin("deepshard.logit_chunks", 0, 1, 1 << 20);
  config.embeddingGradient = reader.oneOf("deepshard.embedding_gradient", {"sorted", "atomics"});
  config.stepsPerPrint =
      reader.wholeWithin("steps_per_print", 0, 0, std::numeric_limits<int32_t>::max());
}

} // namespace

std::string Diagnostic::str() const {
  std::string out = file;
  if (line > 0)
    out += fmt::format(":{}", line);
  if (!key.empty())
    out += fmt::format(": {}", key);
  return out + ": " + message;
}

std::string TrainingConfig::str() const {
  std::string out;
  auto line = [&](std::string_view key, const auto &value) {
    out += fmt::format("{} = {}\n", key, value);
  };
  line("train_batch_size", trainBatch);
  line("train_micro_batch_size_per_gpu", microBatch);
  line("gradient_accumulation_steps", accumulation);
  line("gradient_clipping", gradientClipping);
  if (optimizer) {
    line("optimizer.type", optimizer->type);
    line("optimizer.params.lr", optimizer->lr);
    line("optimizer.params.betas", fmt::format("[{}, {}]", optimizer->beta1, optimizer->beta2));
    line("optimizer.params.eps", optimizer->eps);
    line("optimizer.params.weight_decay", optimizer->weightDecay);
    line("optimizer.params.bias_correction", optimizer->biasCorrection);
  }
  if (!scheduler.type.empty()) {
    line("scheduler.type", scheduler.type);
    for (const auto &[key, value] : scheduler.numbers)
      line("scheduler.params." + key, value);
    line("scheduler.params.warmup_type", scheduler.warmupType);
  }
  line("steps_per_print", stepsPerPrint);
  line("bf16.enabled", precision == Precision::BF16 && !autocast);
  line("fp16.enabled", precision == Precision::F16 && !autocast);
  line("torch_autocast.enabled", autocast);
  line("torch_autocast.dtype", precision == Precision::F16 ? "float16" : "bfloat16");
  if (lossScale && lossScale->window == 0) {
    line("fp16.loss_scale", lossScale->initial);
  } else if (lossScale) {
    line("fp16.initial_scale_power", std::log2(lossScale->initial));
    line("fp16.loss_scale_window", lossScale->window);
    line("fp16.hysteresis", lossScale->hysteresis);
    line("fp16.consecutive_hysteresis", lossScale->consecutiveHysteresis);
    line("fp16.min_loss_scale", lossScale->minimum);
  }
  line("deepshard.mesh.data", mesh.data);
  line("deepshard.mesh.context", mesh.context);
  line("deepshard.mesh.tensor", mesh.tensor);
  line("deepshard.mesh.pipe", mesh.pipe);
  line("deepshard.layouts", searchLayouts ? "auto" : "pinned");
  line("deepshard.objective", objective);
  line("deepshard.attention", attention);
  for (const Pin &pin : pins)
    line("deepshard.pins." + quoted(pin.pattern), fmt::format("{}", pin.dims));
  line("zero_optimization.stage", zero.stage);
  line("zero_optimization.stage3_param_persistence_threshold", zero.persistenceThreshold);
  line("zero_optimization.overlap_comm", zero.overlap);
  line("zero_optimization.mics_shard_size", zero.shardSize);
  line("zero_optimization.zero_hpz_partition_size", zero.regatherSize);
  line("deepshard.gradient_reduction", zero.gradientReduction);
  line("deepshard.parameter_gather", zero.parameterGather);
  line("deepshard.bucket_size", bucketSize);
  line("deepshard.recompute", recompute.mode);
  line("activation_checkpointing.number_checkpoints", recompute.keptInputs);
  line("deepshard.logit_chunks", logitChunks == 0 ? "auto" : std::to_string(logitChunks));
  line("deepshard.embedding_gradient", embeddingGradient);
  return out;
}

ConfigResult parseConfigText(std::string_view text, const std::string &name,
                             const ConfigOptions &options) {
  ConfigResult result;
  std::optional<Value> root = parseObject(text, name, result.errors);
  if (!root)
    return result;
  for (const std::string &override : options.overrides)
    applyOverride(*root, override, result.errors);

  Reader reader(*root, name, result);
  TrainingConfig config;
  readMesh(reader, config);
  readZero(reader, config);
  checkAgainstSchema(*root, {.zeroStage = config.zero.stage}, result.errors, result.notes);
  readRecompute(reader, config);
  readPrecision(reader, config);
  readPins(reader, config);
  readBatch(reader, options, config);
  readOptimizer(reader, options, config);
  readScheduler(reader, config);
  readRest(reader, config);
  sortByLine(result.errors);
  sortByLine(result.notes);
  if (result.errors.empty()) {
    const std::string settings = config.str();
    config.hash = XXH3_64bits(settings.data(), settings.size());
    result.config = std::move(config);
  }
  return result;
}

ConfigResult parseConfigFile(const std::string &path, const ConfigOptions &options) {
  ConfigResult result;
  std::optional<std::string> text = readText(path, result.errors);
  return text ? parseConfigText(*text, path, options) : result;
}

} // namespace deepshard
