#include "frontends/config/Json.h"

#include <charconv>
#include <cmath>
#include <fmt/format.h>

namespace deepshard::json {
namespace {

constexpr int kMaxDepth = 100;

bool isDigit(char c) { return c >= '0' && c <= '9'; }

bool isWordCharacter(char c) {
  return isDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' ||
         c == '+' || c == '.';
}

void appendUtf8(std::string &out, uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (code >> 18));
    out += static_cast<char>(0x80 | ((code >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

/// Thrown where nothing sensible can be read any more; the diagnostic has been added before.
struct Unreadable {};

/// Recursive descent over the text. A missing comma and a duplicate key are reported and reading
/// goes on; any other fault ends it.
class Parser {
public:
  Parser(std::string_view text, const std::string &file, std::vector<Diagnostic> &diagnostics)
      : text_(text), file_(file), diagnostics_(diagnostics) {}

  std::optional<Value> parseDocument() {
    try {
      if (text_.substr(0, 3) == "\xEF\xBB\xBF") // byte order mark
        position_ = 3;
      skipSpace();
      if (atEnd())
        fail("the file holds no value");
      Value root = parseValue("", 0);
      skipSpace();
      if (!atEnd())
        fail(fmt::format("expected the end of the file after the value, found {}", found()));
      return root;
    } catch (const Unreadable &) {
      return std::nullopt;
    }
  }

private:
  bool atEnd() const { return position_ >= text_.size(); }
  char peek(size_t ahead = 0) const {
    return position_ + ahead < text_.size() ? text_[position_ + ahead] : '\0';
  }

  void advance() {
    if (text_[position_] == '\n')
      ++line_;
    ++position_;
  }

  void report(int line, const std::string &key, std::string message) {
    diagnostics_.push_back({file_, line, key, std::move(message)});
  }

  [[noreturn]] void fail(std::string message) {
    report(line_, path_, std::move(message));
    throw Unreadable{};
  }

  /// The next thing in the text, for messages.
  std::string found() const {
    if (atEnd())
      return "the end of the file";
    if (!isWordCharacter(peek())) {
      unsigned char c = static_cast<unsigned char>(peek());
      return c >= 0x20 && c < 0x7F ? fmt::format("'{}'", peek())
                                   : fmt::format("the byte 0x{:02x}", c);
    }
    return fmt::format("'{}'", word());
  }

  std::string word() const {
    size_t end = position_;
    while (end < text_.size() && isWordCharacter(text_[end]) && end - position_ < 40)
      ++end;
    return std::string(text_.substr(position_, end - position_));
  }

  void skipSpace() {
    while (!atEnd()) {
      char c = peek();
      if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
        advance();
      } else if (c == '#' || (c == '/' && peek(1) == '/')) {
        while (!atEnd() && peek() != '\n')
          advance();
      } else if (c == '/' && peek(1) == '*') {
        skipBlockComment();
      } else {
        return;
      }
    }
  }

  void skipBlockComment() {
    int start = line_;
    advance();
    advance();
    while (!atEnd() && !(peek() == '*' && peek(1) == '/'))
      advance();
    if (atEnd()) {
      line_ = start;
      fail("the comment that starts here with /* is never closed");
    }
    advance();
    advance();
  }

  Value parseValue(const std::string &path, int depth) {
    if (depth > kMaxDepth)
      fail(fmt::format("values are nested more than {} deep", kMaxDepth));
    path_ = path;
    Value value;
    value.file = file_;
    value.line = line_;
    char c = peek();
    if (c == '{') {
      parseObject(value, path, depth);
    } else if (c == '[') {
      parseArray(value, path, depth);
    } else if (c == '"') {
      value.kind = Kind::String;
      value.text = parseString();
    } else if (c == '-' || isDigit(c)) {
      parseNumber(value);
    } else {
      parseWord(value);
    }
    return value;
  }

  /// The separator after a member or item; false at the closing bracket, which is consumed.
  bool nextElement(char close, int openLine) {
    skipSpace();
    if (atEnd())
      fail(fmt::format("expected '{}' to close what line {} opens, found the end of the file",
                       close, openLine));
    if (peek() == ',') {
      advance();
      skipSpace();
      if (peek() == close) {
        advance();
        return false;
      }
      return true;
    }
    if (peek() == close) {
      advance();
      return false;
    }
    if (peek() == '"' ||
        (close == ']' && (peek() == '{' || peek() == '[' || isWordCharacter(peek())))) {
      report(line_, path_, fmt::format("expected a comma before {}", found()));
      return true;
    }
    fail(fmt::format("expected a comma or '{}', found {}", close, found()));
  }

  bool isEmpty(char close) {
    skipSpace();
    if (peek() != close)
      return false;
    advance();
    return true;
  }

  void parseObject(Value &value, const std::string &path, int depth) {
    value.kind = Kind::Object;
    int openLine = line_;
    advance();
    if (isEmpty('}'))
      return;
    do {
      path_ = path;
      if (atEnd())
        fail(fmt::format("expected '}}' to close what line {} opens, found the end of the file",
                         openLine));
      if (peek() != '"')
        fail(fmt::format("expected a key in double quotes, found {}", found()));
      int keyLine = line_;
      std::string key = parseString();
      std::string keyPath = path.empty() ? key : path + "." + key;
      path_ = keyPath;
      skipSpace();
      if (peek() != ':')
        fail(fmt::format("expected ':' after the key \"{}\", found {}", key, found()));
      advance();
      skipSpace();
      Value member = parseValue(keyPath, depth + 1);
      path_ = keyPath;
      addMember(value, key, keyPath, keyLine, std::move(member));
    } while (nextElement('}', openLine));
  }

  void addMember(Value &object, const std::string &key, const std::string &path, int line,
                 Value member) {
    for (const Member &earlier : object.members)
      if (earlier.key == key) {
        report(line, path,
               fmt::format("the key is given twice, first on line {}; keep one", earlier.line));
        return;
      }
    object.members.push_back({key, line, std::move(member)});
  }

  void parseArray(Value &value, const std::string &path, int depth) {
    value.kind = Kind::Array;
    int openLine = line_;
    advance();
    if (isEmpty(']'))
      return;
    do {
      value.items.push_back(parseValue(fmt::format("{}[{}]", path, value.items.size()), depth + 1));
      path_ = path;
    } while (nextElement(']', openLine));
  }

  std::string parseString() {
    std::string out;
    advance();
    while (true) {
      if (atEnd() || peek() == '\n')
        fail("the string is not closed on its line");
      char c = peek();
      if (c == '"') {
        advance();
        return out;
      }
      advance();
      if (c == '\\')
        parseEscape(out);
      else
        out += c;
    }
  }

  void parseEscape(std::string &out) {
    char c = peek();
    static constexpr std::string_view kLetters = "\"\\/bfnrt";
    static constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    if (size_t index = kLetters.find(c); !atEnd() && index != std::string_view::npos) {
      advance();
      out += kMeanings[index];
    } else if (c == 'u') {
      advance();
      uint32_t code = parseHex4();
      if (code >= 0xD800 && code < 0xDC00 && peek() == '\\' && peek(1) == 'u') {
        position_ += 2;
        uint32_t low = parseHex4();
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      }
      if ((code >= 0xD800 && code < 0xE000) || code > 0x10FFFF)
        fail("the \\u escape is half of a surrogate pair");
      appendUtf8(out, code);
    } else {
      fail(fmt::format("unknown escape \\{} in a string", atEnd() ? "" : std::string(1, c)));
    }
  }

  uint32_t parseHex4() {
    uint32_t code = 0;
    std::string_view digits = text_.substr(position_, 4);
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    if (digits.size() < 4 || error != std::errc() || end != digits.data() + 4)
      fail("expected four hexadecimal digits after \\u");
    position_ += 4;
    return code;
  }

  void parseNumber(Value &value) {
    std::string digits = word();
    size_t at = digits[0] == '-' ? 1 : 0;
    auto skipDigits = [&] {
      size_t start = at;
      while (at < digits.size() && isDigit(digits[at]))
        ++at;
      return at > start;
    };
    size_t first = at;
    bool valid = skipDigits() && !(digits[first] == '0' && at - first > 1);
    bool whole = true;
    if (valid && at < digits.size() && digits[at] == '.') {
      whole = false;
      ++at;
      valid = skipDigits();
    }
    if (valid && at < digits.size() && (digits[at] == 'e' || digits[at] == 'E')) {
      whole = false;
      ++at;
      if (at < digits.size() && (digits[at] == '+' || digits[at] == '-'))
        ++at;
      valid = skipDigits();
    }
    if (!valid || at != digits.size())
      fail(fmt::format("'{}' is not a number", digits));
    const char *end = digits.data() + digits.size();
    value.kind = Kind::Number;
    if (std::from_chars(digits.data(), end, value.number).ec != std::errc())
      fail(fmt::format("the number {} is out of the range of a double", digits));
    if (whole && std::from_chars(digits.data(), end, value.integer).ec == std::errc())
      value.kind = Kind::Integer;
    position_ += digits.size();
  }

  void parseWord(Value &value) {
    std::string name = word();
    if (name == "true" || name == "false") {
      value.kind = Kind::Bool;
      value.boolean = name == "true";
    } else if (name == "True" || name == "False" || name == "None") {
      fail(fmt::format("'{}' is Python; JSON writes {}", name,
                       name == "None"   ? "null"
                       : name == "True" ? "true"
                                        : "false"));
    } else if (name != "null") {
      fail(fmt::format("expected a value, found {}{}", found(),
                       name.empty() && peek() != '\'' ? "" : "; strings need double quotes"));
    }
    position_ += name.size();
  }

  std::string_view text_;
  const std::string &file_;
  std::vector<Diagnostic> &diagnostics_;
  std::string path_; ///< of the value being read
  size_t position_ = 0;
  int line_ = 1;
};

void printString(std::string &out, const std::string &text) {
  out += '"';
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  out += '"';
}

void printTo(std::string &out, const Value &value) {
  switch (value.kind) {
  case Kind::Null:
    out += "null";
    break;
  case Kind::Bool:
    out += value.boolean ? "true" : "false";
    break;
  case Kind::Integer:
    out += fmt::format("{}", value.integer);
    break;
  case Kind::Number:
    out += fmt::format("{}", value.number);
    break;
  case Kind::String:
    printString(out, value.text);
    break;
  case Kind::Array:
    out += '[';
    for (const Value &item : value.items) {
      if (&item != &value.items.front())
        out += ", ";
      printTo(out, item);
    }
    out += ']';
    break;
  case Kind::Object:
    out += '{';
    for (const Member &member : value.members) {
      if (&member != &value.members.front())
        out += ", ";
      printString(out, member.key);
      out += ": ";
      printTo(out, member.value);
    }
    out += '}';
    break;
  }
}

} // namespace

bool Value::isWhole() const {
  return kind == Kind::Integer ||
         (kind == Kind::Number && std::abs(number) < 0x1p63 && number == std::floor(number));
}

const Value *Value::find(std::string_view key) const {
  return const_cast<Value *>(this)->find(key);
}

Value *Value::find(std::string_view key) {
  for (Member &member : members)
    if (member.key == key)
      return &member.value;
  return nullptr;
}

std::optional<Value> parse(std::string_view text, const std::string &file,
                           std::vector<Diagnostic> &diagnostics) {
  return Parser(text, file, diagnostics).parseDocument();
}

std::string print(const Value &value) {
  std::string out;
  printTo(out, value);
  return out;
}

std::string describe(const Value &value) {
  switch (value.kind) {
  case Kind::Null:
    return "null";
  case Kind::Bool:
    return value.boolean ? "true" : "false";
  case Kind::Integer:
  case Kind::Number:
    return "the number " + print(value);
  case Kind::String:
    return "the string " + print(value);
  case Kind::Array:
    return "an array";
  case Kind::Object:
    return "an object";
  }
  return "";
}

bool equal(const Value &left, const Value &right) {
  if (left.isNumber() && right.isNumber())
    return left.number == right.number;
  if (left.kind != right.kind || left.items.size() != right.items.size() ||
      left.members.size() != right.members.size())
    return false;
  for (size_t i = 0; i < left.items.size(); ++i)
    if (!equal(left.items[i], right.items[i]))
      return false;
  for (const Member &member : left.members) {
    const Value *other = right.find(member.key);
    if (!other || !equal(member.value, *other))
      return false;
  }
  return left.boolean == right.boolean && left.text == right.text;
}

} // namespace deepshard::json
