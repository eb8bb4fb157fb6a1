/// JSON with comments (`//`, `/* */`, `#`) and trailing commas, read into a tree in which every
/// value knows its file and line. Written by hand because messages need a position for every value,
/// which the usual libraries drop, and because a missing comma or a duplicate key should not hide
/// the faults behind it.
#pragma once

#include "frontends/config/Diagnostic.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace deepshard::json {

enum class Kind { Null, Bool, Integer, Number, String, Array, Object };

struct Member;

/// A value and where it was written. A number without fraction and exponent that fits 64 bits is an
/// Integer, every other number a Number.
struct Value {
  Kind kind = Kind::Null;
  bool boolean = false;
  int64_t integer = 0;
  double number = 0; ///< also set for an Integer
  std::string text;
  std::vector<Value> items;
  std::vector<Member> members; ///< in the order of the file
  std::string file;
  int line = 0;

  bool isNull() const { return kind == Kind::Null; }
  bool isNumber() const { return kind == Kind::Integer || kind == Kind::Number; }
  bool isObject() const { return kind == Kind::Object; }
  bool isString(std::string_view wanted) const { return kind == Kind::String && text == wanted; }
  /// A whole number within 64 bits, also when written as 5e8.
  bool isWhole() const;
  /// Valid if isWhole().
  int64_t whole() const { return kind == Kind::Integer ? integer : static_cast<int64_t>(number); }
  /// The member called `key`, or null.
  const Value *find(std::string_view key) const;
  Value *find(std::string_view key);
};

struct Member {
  std::string key;
  int line = 0; ///< of the key
  Value value;
};

/// Reads `text`. Faults (syntax, duplicate keys at any depth) are added to `diagnostics`. After a
/// missing comma or a duplicate key reading goes on, so that later checks can report their faults
/// too; after any other fault of syntax nothing is returned. `file` is used in messages only.
std::optional<Value> parse(std::string_view text, const std::string &file,
                           std::vector<Diagnostic> &diagnostics);

/// The value as JSON on one line, numbers in their shortest exact form.
std::string print(const Value &value);

/// What a value is, for messages: `the string "8"`, `the number 1.5`, `an object`.
std::string describe(const Value &value);

/// Equality of content; an Integer equals a Number of the same value.
bool equal(const Value &left, const Value &right);

} // namespace deepshard::json
