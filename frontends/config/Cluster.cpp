#include "frontends/config/Cluster.h"

#include "frontends/config/Json.h"
#include "frontends/config/Nearest.h"
#include "frontends/config/Source.h"
#include "runtime/kernels/cuda/GpuDescription.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace deepshard {
namespace {

using json::Kind;
using json::Value;

/// Bounds of every figure of the file but 0, so that no conversion and no quotient overflows.
constexpr double kSmallest = 1e-6, kLargest = 1e9;
constexpr int64_t kMaxRanks = int64_t(1) << 30;

constexpr double kGiga = 1e9, kTera = 1e12, kMicro = 1e-6;

enum class Range { AboveZero, AtLeastZero, Share };

bool isWithin(double value, Range range) {
  switch (range) {
  case Range::AboveZero:
    return value > 0;
  case Range::AtLeastZero:
    return value >= 0;
  case Range::Share:
    return value > 0 && value <= 1;
  }
  return false;
}

std::string_view describe(Range range) {
  switch (range) {
  case Range::AboveZero:
    return "a number above 0";
  case Range::AtLeastZero:
    return "a number of at least 0";
  case Range::Share:
    return "a number above 0 and at most 1";
  }
  return "";
}

/// An object of the file. Its members are asked for one by one, each with its meaning for messages;
/// a member that nobody asks for is unknown. What is absent or faulty reads as 0, empty or the
/// fallback.
class Section {
public:
  Section(const Value &object, int line, std::string path, std::vector<Diagnostic> &errors)
      : object_(object), line_(line), path_(std::move(path)), errors_(errors) {}

  /// The member, or null. Its absence is no fault.
  const Value *find(std::string_view key) {
    if (std::find(known_.begin(), known_.end(), key) == known_.end())
      known_.emplace_back(key);
    return object_.find(key);
  }

  double number(std::string_view key, std::string_view meaning) {
    const Value *value = findNeeded(key, meaning);
    return value ? read(key, meaning, Range::AboveZero, *value).value_or(0) : 0;
  }

  double numberOr(std::string_view key, std::string_view meaning, Range range, double fallback) {
    const Value *value = find(key);
    return value ? read(key, meaning, range, *value).value_or(fallback) : fallback;
  }

  int64_t ranks(std::string_view key, std::string_view meaning) {
    const Value *value = findNeeded(key, meaning);
    if (!value)
      return 0;
    if (value->isWhole() && value->whole() >= 1 && value->whole() <= kMaxRanks)
      return value->whole();
    mismatch(key, fmt::format("an integer between 1 and {}", kMaxRanks), meaning, *value);
    return 0;
  }

  std::string text(std::string_view key, std::string_view meaning) {
    const Value *value = findNeeded(key, meaning);
    return value ? read(key, meaning, *value) : std::string();
  }

  std::string textOr(std::string_view key, std::string_view meaning, std::string_view fallback) {
    const Value *value = find(key);
    return value ? read(key, meaning, *value) : std::string(fallback);
  }

  std::optional<Section> section(std::string_view key, std::string_view meaning) {
    const Value *value = findNeeded(key, meaning);
    return value ? readSection(key, meaning, *value) : std::nullopt;
  }

  std::optional<Section> sectionIfAny(std::string_view key, std::string_view meaning) {
    const Value *value = find(key);
    return value ? readSection(key, meaning, *value) : std::nullopt;
  }

  /// The sections in the array at `key`, which has at least one.
  std::vector<Section> sections(std::string_view key, std::string_view meaning) {
    std::vector<Section> out;
    const Value *value = findNeeded(key, meaning);
    if (!value)
      return out;
    if (value->kind != Kind::Array)
      mismatch(key, "an array", meaning, *value);
    else if (value->items.empty())
      error(key, fmt::format("empty; add {}", meaning));
    for (const Value &item : value->items) {
      std::string path = fmt::format("{}[{}]", pathOf(key), &item - value->items.data());
      if (item.isObject())
        out.emplace_back(item, item.line, std::move(path), errors_);
      else
        errors_.push_back({item.file, item.line, std::move(path),
                           "expected an object, found " + json::describe(item)});
    }
    return out;
  }

  bool isEmpty() const { return object_.members.empty(); }

  /// The line of the key, or of the section if the key is absent.
  int lineOf(std::string_view key) const {
    for (const json::Member &member : object_.members)
      if (member.key == key)
        return member.line;
    return line_;
  }

  void error(std::string_view key, std::string message) const {
    errors_.push_back({object_.file, lineOf(key), pathOf(key), std::move(message)});
  }

  /// To be called when everything known has been asked for. `what` the keys are, for messages.
  void reportUnknown(std::string_view what = "key") const {
    for (const json::Member &member : object_.members) {
      if (std::find(known_.begin(), known_.end(), member.key) != known_.end())
        continue;
      const std::string guess = nearest(member.key, known_);
      error(member.key,
            guess.empty()
                ? fmt::format("unknown {}; known here are {}", what, fmt::join(known_, ", "))
                : fmt::format("unknown {}; did you mean \"{}\"?", what, pathOf(guess)));
    }
  }

private:
  const Value *findNeeded(std::string_view key, std::string_view meaning) {
    const Value *value = find(key);
    if (!value)
      error(key, fmt::format("missing; add {}", meaning));
    return value;
  }

  std::optional<double> read(std::string_view key, std::string_view meaning, Range range,
                             const Value &value) const {
    if (!value.isNumber() || !isWithin(value.number, range)) {
      mismatch(key, describe(range), meaning, value);
      return std::nullopt;
    }
    if (value.number != 0 && (value.number < kSmallest || value.number > kLargest)) {
      error(key, fmt::format("{} is not between {} and {}; check the unit, which the key names",
                             json::print(value), kSmallest, kLargest));
      return std::nullopt;
    }
    return value.number;
  }

  std::string read(std::string_view key, std::string_view meaning, const Value &value) const {
    if (value.kind != Kind::String || value.text.empty())
      mismatch(key, "a string that is not empty", meaning, value);
    return value.text;
  }

  std::optional<Section> readSection(std::string_view key, std::string_view meaning,
                                     const Value &value) const {
    if (value.isObject())
      return Section(value, lineOf(key), pathOf(key), errors_);
    mismatch(key, "an object", meaning, value);
    return std::nullopt;
  }

  void mismatch(std::string_view key, std::string_view expected, std::string_view meaning,
                const Value &found) const {
    error(key, fmt::format("expected {} ({}), found {}", expected, meaning, json::describe(found)));
  }

  std::string pathOf(std::string_view key) const {
    return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
  }

  const Value &object_;
  int line_; ///< of its key
  std::string path_;
  std::vector<Diagnostic> &errors_;
  std::vector<std::string> known_; ///< keys that were asked for
};

int64_t bytesOf(double gib) { return std::llround(gib * 0x1p30); }

double readEfficiency(Section &section) {
  constexpr std::string_view kKey = "efficiency",
                             kMeaning = "the share of the peak that large matmuls reach";
  const Value *value = section.find(kKey);
  if (!value || value->kind != Kind::String)
    return section.numberOr(kKey, kMeaning, Range::Share, 1);
  section.error(kKey, fmt::format("a file with a curve (found {}) is not supported yet; give {}, "
                                  "{}",
                                  json::print(*value), kMeaning, describe(Range::Share)));
  return 1;
}

void readMatmuls(Section section, Device &device) {
  for (std::string_view dtype : {"f64", "f32", "tf32", "bf16", "f16", "f8"}) {
    std::optional<Section> entry =
        section.sectionIfAny(dtype, "how fast the device multiplies matrices of this dtype");
    if (!entry)
      continue;
    Matmul &matmul = device.matmul[std::string(dtype)];
    matmul.peakFlopsPerSecond =
        kTera * entry->number("peak_tflops", "the peak for dense matrices in TFLOP/s");
    matmul.efficiency = readEfficiency(*entry);
    entry->reportUnknown();
  }
  section.reportUnknown("dtype");
}

Device readDevice(Section section) {
  Device device;
  device.name = section.textOr("name", "what the device is called", device.name);
  device.gpu = section.textOr("gpu", "the kind of NVIDIA GPU that the device is", "");
  if (std::ranges::find(runtime::kGpuChips, device.gpu) == std::end(runtime::kGpuChips) &&
      !device.gpu.empty())
    section.error("gpu",
                  fmt::format("\"{}\" is not a kind of GPU that there is code generation for: {}",
                              device.gpu, fmt::join(runtime::kGpuChips, ", ")));
  const double memory = section.number("memory_gib", "the memory of a device in GiB");
  const double reserve = section.numberOr(
      "reserve_gib", "the part of the memory that no plan may use, in GiB", Range::AtLeastZero, 0);
  device.memoryBytes = bytesOf(memory);
  device.reserveBytes = bytesOf(reserve);
  if (memory > 0 && device.usableBytes() <= 0)
    section.error("reserve_gib",
                  fmt::format("{} GiB leave nothing of the {} GiB of memory_gib; reserve less",
                              reserve, memory));
  device.memoryBytesPerSecond =
      kGiga * section.number("memory_gb_per_s", "the bandwidth of the device's memory in GB/s");
  device.launchSeconds = kMicro * section.numberOr("launch_us", "the time to launch a kernel in us",
                                                   Range::AtLeastZero, 0);
  constexpr std::string_view kMatmul = "matmul",
                             kMeaning = "at least one dtype, as \"bf16\": {\"peak_tflops\": 989}";
  if (std::optional<Section> matmul = section.section(kMatmul, kMeaning)) {
    if (matmul->isEmpty())
      section.error(kMatmul, fmt::format("empty; add {}", kMeaning));
    readMatmuls(*matmul, device);
  }
  section.reportUnknown();
  return device;
}

/// Reads the tiers, innermost first, and compares each with those before it.
class TierReader {
public:
  void read(Section section) {
    Tier tier;
    tier.name = section.text("name", "what the links are called");
    tier.size = section.ranks("size", "the ranks that share these links, inner tiers included");
    tier.latencySeconds = kMicro * section.number("latency_us", "the time of an empty message, us");
    tier.bytesPerSecond =
        kGiga * section.number("gb_per_s", "the bandwidth of a rank in one direction, GB/s");
    section.reportUnknown();
    checkName(tier, section);
    checkSize(tier, section);
    tiers_.push_back(std::move(tier));
  }

  std::vector<Tier> take() { return std::move(tiers_); }

private:
  void checkName(const Tier &tier, const Section &section) {
    if (tier.name.empty())
      return;
    const int line = section.lineOf("name");
    const auto [first, isNew] = lines_.emplace(tier.name, line);
    if (!isNew)
      section.error("name", fmt::format("the tier of line {} is called \"{}\" too; give each its "
                                        "own name",
                                        first->second, tier.name));
  }

  /// A size that is out of order is not compared with those that follow.
  void checkSize(const Tier &tier, const Section &section) {
    if (tier.size == 0)
      return;
    if (inner_ > 0 && tier.size <= inner_)
      section.error("size", fmt::format("{} ranks are not more than the {} of the tier before; a "
                                        "size counts the inner tiers too, innermost first",
                                        tier.size, inner_));
    else if (inner_ > 0 && tier.size % inner_ != 0)
      section.error("size", fmt::format("{} ranks are not a multiple of the {} of the tier before; "
                                        "{} or {} would be",
                                        tier.size, inner_, tier.size - tier.size % inner_,
                                        tier.size - tier.size % inner_ + inner_));
    else
      inner_ = tier.size;
  }

  std::vector<Tier> tiers_;
  std::map<std::string, int> lines_; ///< of the names
  int64_t inner_ = 0;                ///< the last size in order
};

Cluster readCluster(Section root) {
  Cluster cluster;
  if (std::optional<Section> device = root.section("device", "the description of a device"))
    cluster.device = readDevice(*device);
  TierReader tiers;
  for (Section &tier : root.sections("tiers", "at least one tier of links, innermost first"))
    tiers.read(std::move(tier));
  cluster.tiers = tiers.take();
  if (std::optional<Section> host = root.sectionIfAny("host", "the memory beside the devices")) {
    cluster.host.emplace();
    cluster.host->memoryBytes = bytesOf(host->number("memory_gib", "the memory of a host in GiB"));
    cluster.host->toDeviceBytesPerSecond =
        kGiga * host->number("to_device_gb_per_s", "the bandwidth to one device in GB/s");
    host->reportUnknown();
  }
  if (std::optional<Section> disk = root.sectionIfAny("disk", "the disks of a host")) {
    cluster.disk.emplace();
    cluster.disk->readBytesPerSecond =
        kGiga * disk->number("read_gb_per_s", "what a host reads in GB/s");
    cluster.disk->writeBytesPerSecond =
        kGiga * disk->number("write_gb_per_s", "what a host writes in GB/s");
    disk->reportUnknown();
  }
  root.reportUnknown();
  return cluster;
}

} // namespace

int64_t Cluster::ranks() const { return tiers.back().size; }

ClusterResult parseClusterText(std::string_view text, const std::string &name) {
  ClusterResult result;
  std::optional<Value> root = parseObject(text, name, result.errors);
  if (!root)
    return result;
  Cluster cluster = readCluster(Section(*root, root->line, "", result.errors));
  sortByLine(result.errors);
  if (result.errors.empty())
    result.cluster = std::move(cluster);
  return result;
}

ClusterResult parseClusterFile(const std::string &path) {
  ClusterResult result;
  std::optional<std::string> text = readText(path, result.errors);
  return text ? parseClusterText(*text, path) : result;
}

} // namespace deepshard
