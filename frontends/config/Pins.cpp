#include "frontends/config/Nearest.h"
#include "frontends/config/Reader.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace deepshard {
namespace {

using json::Kind;
using json::Value;

/// Reads one pin and its faults, each of which stands at the line of its dimension.
class PinReader {
public:
  PinReader(const json::Member &member, const Mesh &mesh, std::vector<Diagnostic> &errors)
      : value_(member.value), errors_(errors) {
    for (const auto &[axis, size] : mesh.axes())
      axes_.emplace_back(axis);
    pin_.pattern = member.key;
    pin_.file = value_.file;
    pin_.line = member.line;
    pin_.key = "deepshard.pins." + member.key;
  }

  Pin read() {
    if (pin_.pattern.empty())
      error(pin_.line, "an empty pattern matches no parameter");
    if (value_.kind != Kind::Array)
      error(pin_.line,
            fmt::format("expected an array with one entry per dimension of the parameter, as "
                        "[[], \"tensor\"], found {}",
                        json::describe(value_)));
    for (const Value &item : value_.items)
      readDimension(item);
    return std::move(pin_);
  }

private:
  void readDimension(const Value &item) {
    std::vector<std::string> &axes = pin_.dims.emplace_back();
    if (item.kind == Kind::Array) {
      for (const Value &axis : item.items)
        readAxis(axis, axes);
    } else if (!item.isNull()) {
      readAxis(item, axes);
    }
  }

  void readAxis(const Value &axis, std::vector<std::string> &axes) {
    const size_t dimension = pin_.dims.size() - 1;
    if (axis.kind != Kind::String)
      return error(axis.line, fmt::format("dimension {}: expected null, an axis of the mesh or a "
                                          "list of axes, found {}",
                                          dimension, json::describe(axis)));
    if (axis.text == "data")
      return error(
          axis.line,
          fmt::format("dimension {}: the axis \"data\" splits the batch and cannot split a "
                      "parameter; zero_optimization.stage splits parameters over it",
                      dimension));
    if (axis.text == "context")
      return error(axis.line, fmt::format("dimension {}: the axis \"context\" splits the sequence "
                                          "and cannot split a parameter",
                                          dimension));
    if (std::find(axes_.begin(), axes_.end(), axis.text) == axes_.end())
      return error(axis.line, fmt::format("dimension {}: the mesh has no axis \"{}\"{}", dimension,
                                          axis.text, advice(axis.text)));
    for (size_t other = 0; other <= dimension; ++other)
      if (std::find(pin_.dims[other].begin(), pin_.dims[other].end(), axis.text) !=
          pin_.dims[other].end())
        return error(axis.line, fmt::format("dimension {}: the axis \"{}\" splits dimension {} "
                                            "already; an axis can be used once",
                                            dimension, axis.text, other));
    axes.push_back(axis.text);
  }

  std::string advice(const std::string &name) const {
    const std::string guess = nearest(name, axes_);
    return guess.empty() ? fmt::format("; its axes are {}", fmt::join(axes_, ", "))
                         : fmt::format("; did you mean \"{}\"?", guess);
  }

  void error(int line, std::string message) {
    errors_.push_back({pin_.file, line, pin_.key, std::move(message)});
  }

  const Value &value_;
  std::vector<Diagnostic> &errors_;
  std::vector<std::string> axes_;
  Pin pin_;
};

} // namespace

/// The text is walked once. After a mismatch the last star takes one character more, which is
/// enough: what an earlier star might take, the last one can take too. O(|pattern| |name|).
bool Pin::matches(std::string_view name) const {
  size_t at = 0, position = 0, star = std::string::npos, taken = 0;
  while (position < name.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = at++;
      taken = position;
    } else if (at < pattern.size() && (pattern[at] == '?' || pattern[at] == name[position])) {
      ++at;
      ++position;
    } else if (star != std::string::npos) {
      at = star + 1;
      position = ++taken;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', at) == std::string::npos;
}

void readPins(Reader &reader, TrainingConfig &config) {
  // "auto" reads as if the key were absent.
  constexpr std::string_view kLayouts = "deepshard.layouts";
  config.searchLayouts = reader.oneOf(kLayouts, {"auto", "pinned"}) == "auto";
  constexpr std::string_view kObjective = "deepshard.objective";
  config.objective = reader.oneOf(kObjective, {"time", "traffic"});
  if (!config.searchLayouts && config.objective != "time")
    reader.note(kObjective, "without effect: deepshard.layouts is \"pinned\", nothing is searched");
  const Value *pins = reader.find("deepshard.pins");
  if (!pins)
    return;
  for (const json::Member &member : pins->members)
    config.pins.push_back(PinReader(member, config.mesh, reader.result().errors).read());
}

} // namespace deepshard
