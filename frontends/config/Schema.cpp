#include "frontends/config/Schema.h"

#include "frontends/config/Nearest.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace deepshard {
namespace {

using json::Kind;
using json::Value;

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return parts;
}

std::string join(std::string_view prefix, std::string_view key) {
  return prefix.empty() ? std::string(key) : fmt::format("{}.{}", prefix, key);
}

const SchemaKey *lookUp(const std::string &path) {
  for (const SchemaKey &row : schema())
    if (row.path == path)
      return &row;
  return nullptr;
}

std::string_view sectionOf(std::string_view path) {
  size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : path.substr(0, dot);
}

std::string_view lastPart(std::string_view path) {
  size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? path : path.substr(dot + 1);
}

/// `a bool`, `an int or null`: the expected types, for messages.
std::string typeNames(std::string_view types) {
  std::string out;
  for (std::string_view type : split(types, '|')) {
    std::string_view name = type == "int"      ? "an integer"
                            : type == "number" ? "a number"
                            : type == "bool"   ? "true or false"
                            : type == "string" ? "a string"
                            : type == "array"  ? "an array"
                            : type == "object" ? "an object"
                                               : "null";
    out += out.empty() ? "" : " or ";
    out += name;
  }
  return out;
}

/// "; did you mean ...?" for an unknown key: the nearest in its own section, else the nearest
/// anywhere, else what a small section has.
std::string suggestion(const std::string &key, std::string_view prefix, const std::string &path) {
  std::vector<std::string> siblings, names, paths;
  for (const SchemaKey &row : schema()) {
    if (sectionOf(row.path) == prefix) {
      siblings.emplace_back(lastPart(row.path));
    } else if (row.path[0] != '@') {
      names.emplace_back(lastPart(row.path));
      paths.emplace_back(row.path);
    }
  }
  if (std::string sibling = nearest(key, siblings); !sibling.empty())
    return fmt::format("; did you mean \"{}\"?", join(path, sibling));
  if (std::string name = nearest(key, names); !name.empty())
    for (size_t i = 0; i < names.size(); ++i)
      if (names[i] == name)
        return fmt::format("; did you mean \"{}\"?", paths[i]);
  constexpr size_t kFew = 5;
  if (!siblings.empty() && siblings.size() <= kFew)
    return fmt::format("; \"{}\" has {}", prefix, fmt::join(siblings, ", "));
  return "; docs/config.md lists the keys";
}

bool isNeutral(const Value &value, const SchemaKey &row) {
  std::vector<std::string_view> neutral = split(row.neutral, '|');
  if (!row.defaultValue.empty())
    neutral.push_back(row.defaultValue);
  std::vector<Diagnostic> none;
  for (std::string_view text : neutral)
    if (std::optional<Value> wanted = json::parse(text, "", none);
        wanted && json::equal(value, *wanted))
      return true;
  return false;
}

std::string notYetMessage(const Value &value, const SchemaKey &row) {
  std::string off;
  if (!row.defaultValue.empty())
    off = fmt::format("; leave it out or set it to {}", row.defaultValue);
  else if (!row.neutral.empty())
    off = fmt::format("; leave it out or set it to {}", split(row.neutral, '|').front());
  else
    off = "; leave it out";
  std::string what = value.isObject() ? "" : fmt::format(" (found {})", json::print(value));
  return fmt::format("known, not supported yet{}{}", what, off);
}

/// For notes; empty if keys of this status need none.
std::string_view whyWithoutEffect(KeyStatus status) {
  if (status == KeyStatus::Ignored)
    return "it concerns only what DeepSpeed prints or its Python objects";
  if (status == KeyStatus::Tuning)
    return "it concerns how DeepSpeed goes about its work, which is done otherwise here, with the "
           "same result";
  return {};
}

bool isSection(std::string_view path) {
  std::span<const SchemaKey> rows = schema();
  return std::any_of(rows.begin(), rows.end(),
                     [&](const SchemaKey &row) { return sectionOf(row.path) == path; });
}

} // namespace

bool hasType(const Value &value, std::string_view types) {
  for (std::string_view type : split(types, '|')) {
    if ((type == "bool" && value.kind == Kind::Bool) || (type == "int" && value.isWhole()) ||
        (type == "number" && value.isNumber()) ||
        (type == "string" && value.kind == Kind::String) ||
        (type == "array" && value.kind == Kind::Array) || (type == "object" && value.isObject()) ||
        (type == "null" && value.isNull()))
      return true;
  }
  return false;
}

void checkAgainstSchema(const Value &object, const SchemaPlace &place,
                        std::vector<Diagnostic> &errors, std::vector<Diagnostic> &notes) {
  for (const json::Member &member : object.members) {
    const Value &value = member.value;
    const SchemaPlace below = {join(place.prefix, member.key), join(place.path, member.key),
                               place.zeroStage};
    const SchemaKey *row = lookUp(below.prefix);
    auto report = [&](std::vector<Diagnostic> &list, std::string message) {
      list.push_back({value.file, member.line, below.path, std::move(message)});
    };
    if (!row || member.key.find('.') != std::string::npos) {
      report(errors, "unknown key" + suggestion(member.key, place.prefix, place.path));
      continue;
    }
    // DeepSpeed drops "auto" inside its typed sections, so that the default applies; here it does
    // so everywhere.
    if (value.isString("auto"))
      continue;
    if (!hasType(value, row->types)) {
      report(errors,
             fmt::format("expected {}, found {}", typeNames(row->types), json::describe(value)));
      continue;
    }
    if (place.zeroStage >= row->fromStage && !isNeutral(value, *row)) {
      if (row->status == KeyStatus::NotYet)
        report(errors, notYetMessage(value, *row));
      else if (std::string_view reason = whyWithoutEffect(row->status); !reason.empty())
        report(notes, fmt::format("accepted without effect: {}", reason));
    }
    if (value.isObject() && isSection(below.prefix))
      checkAgainstSchema(value, below, errors, notes);
  }
}

} // namespace deepshard
