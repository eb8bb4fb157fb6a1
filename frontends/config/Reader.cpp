#include "frontends/config/Reader.h"

#include <fmt/format.h>
#include <limits>

namespace deepshard {

using json::Kind;
using json::Value;

const json::Member *Reader::findMember(std::string_view path) const {
  const Value *object = &root_;
  while (true) {
    size_t dot = path.find('.');
    std::string_view key = path.substr(0, dot);
    const json::Member *found = nullptr;
    for (const json::Member &member : object->members)
      if (member.key == key)
        found = &member;
    if (!found || dot == std::string_view::npos)
      return found;
    object = &found->value;
    path.remove_prefix(dot + 1);
  }
}

const Value *Reader::find(std::string_view path) const {
  const json::Member *member = findMember(path);
  if (!member || member->value.isNull() || member->value.isString("auto"))
    return nullptr;
  return &member->value;
}

std::optional<int64_t> Reader::whole(std::string_view path) const {
  const Value *value = find(path);
  return value && value->isWhole() ? std::optional(value->whole()) : std::nullopt;
}

std::optional<double> Reader::number(std::string_view path) const {
  const Value *value = find(path);
  return value && value->isNumber() ? std::optional(value->number) : std::nullopt;
}

std::optional<bool> Reader::boolean(std::string_view path) const {
  const Value *value = find(path);
  return value && value->kind == Kind::Bool ? std::optional(value->boolean) : std::nullopt;
}

std::optional<std::string> Reader::text(std::string_view path) const {
  const Value *value = find(path);
  return value && value->kind == Kind::String ? std::optional(value->text) : std::nullopt;
}

Diagnostic Reader::at(std::string_view path, std::string message) const {
  const json::Member *member = findMember(path);
  return {member ? member->value.file : file_, member ? member->line : 0, std::string(path),
          std::move(message)};
}

void Reader::error(std::string_view path, std::string message) {
  result_.errors.push_back(at(path, std::move(message)));
}

void Reader::note(std::string_view path, std::string message) {
  result_.notes.push_back(at(path, std::move(message)));
}

double Reader::numberWithin(std::string_view path, double fallback, double low, double high) {
  std::optional<double> value = number(path);
  if (!value)
    return fallback;
  if (*value >= low && *value <= high)
    return *value;
  error(path,
        high == std::numeric_limits<double>::max()
            ? fmt::format("expected a number of at least {}, found {}", low, *value)
            : fmt::format("expected a number between {} and {}, found {}", low, high, *value));
  return fallback;
}

int64_t Reader::wholeWithin(std::string_view path, int64_t fallback, int64_t low, int64_t high) {
  std::optional<int64_t> value = whole(path);
  if (!value)
    return fallback;
  if (*value >= low && *value <= high)
    return *value;
  error(path, fmt::format("expected an integer between {} and {}, found {}", low, high, *value));
  return fallback;
}

std::string Reader::oneOf(std::string_view path, std::initializer_list<std::string_view> choices) {
  std::optional<std::string> value = text(path);
  if (!value)
    return std::string(*choices.begin());
  std::string expected;
  for (const std::string_view &choice : choices) {
    if (*value == choice)
      return *value;
    const bool first = &choice == choices.begin(), last = &choice + 1 == choices.end();
    expected += fmt::format("{}\"{}\"", first ? "" : last ? " or " : ", ", choice);
  }
  error(path, fmt::format("expected {}, found \"{}\"", expected, *value));
  return std::string(*choices.begin());
}

} // namespace deepshard
