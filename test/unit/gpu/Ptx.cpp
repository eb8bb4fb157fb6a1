//===- Ptx.cpp - the text of PTX, parsed ------------------------------------------------------===//

#include "Ptx.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <regex>
#include <stdexcept>

namespace deepshard::ptx {

namespace {

std::string trim(std::string_view text) {
  size_t first = text.find_first_not_of(" \t\n\r");
  if (first == std::string_view::npos)
    return "";
  return std::string(text.substr(first, text.find_last_not_of(" \t\n\r") - first + 1));
}

/// Parts between `separator`, which counts outside of brackets only.
std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  int depth = 0;
  std::string part;
  for (char c : text) {
    depth += c == '{' || c == '[' || c == '(' ? 1 : c == '}' || c == ']' || c == ')' ? -1 : 0;
    if (c == separator && depth == 0) {
      parts.push_back(trim(part));
      part.clear();
    } else {
      part += c;
    }
  }
  if (!trim(part).empty())
    parts.push_back(trim(part));
  return parts;
}

std::optional<Type> typeOf(const std::string &name) {
  static const std::regex pattern("(pred|bf|[busf])(\\d*)(x2)?");
  std::smatch match;
  if (!std::regex_match(name, match, pattern))
    return std::nullopt;
  if (match[1] == "pred")
    return Type{Type::Predicate, 1, 1};
  if (match[2].length() == 0)
    return std::nullopt;
  Type type;
  type.kind = match[1] == "bf"  ? Type::BFloat
              : match[1] == "f" ? Type::Float
              : match[1] == "u" ? Type::Unsigned
              : match[1] == "s" ? Type::Signed
                                : Type::Bits;
  type.bits = static_cast<uint32_t>(std::stoul(match[2]));
  type.elements = match[3].length() > 0 ? 2 : 1;
  return type;
}

/// Parses one kernel.
class Parser {
public:
  Function parse(const std::string &text, const std::vector<std::string> &shared);

private:
  void parseHead(const std::string &head);
  void parseShared(const std::string &statement);
  void parseStatement(const std::string &statement);
  Operand operand(const std::string &text);
  Operand registerOf(const std::string &name);

  Function function;
  std::map<std::string, uint32_t> registers, labels, shared;
  std::vector<std::pair<size_t, std::string>> branches; // instruction, label
};

void Parser::parseHead(const std::string &head) {
  static const std::regex parameter("(\\w+_param_\\d+)"), threads("\\.maxntid (\\d+)");
  for (std::sregex_iterator at(head.begin(), head.end(), parameter), end; at != end; ++at)
    function.parameters.push_back((*at)[1]);
  std::smatch match;
  if (std::regex_search(head, match, threads))
    function.threads = static_cast<uint32_t>(std::stoul(match[1]));
}

void Parser::parseShared(const std::string &statement) {
  static const std::regex pattern(
      "\\.shared \\.align (\\d+) \\.[bufs](\\d+) ([\\w$]+)(?:\\[(\\d+)\\])?");
  std::smatch match;
  if (!std::regex_search(statement, match, pattern))
    throw std::runtime_error("unknown declaration: " + statement);
  auto align = static_cast<uint32_t>(std::stoul(match[1]));
  function.sharedBytes = (function.sharedBytes + align - 1) / align * align;
  shared[match[3]] = function.sharedBytes;
  auto count = match[4].length() > 0 ? static_cast<uint32_t>(std::stoul(match[4])) : 1;
  function.sharedBytes += count * static_cast<uint32_t>(std::stoul(match[2])) / 8;
}

Operand Parser::registerOf(const std::string &name) {
  auto [it, isNew] = registers.try_emplace(name, static_cast<uint32_t>(registers.size()));
  return {Operand::Register, it->second, 0, {}};
}

Operand Parser::operand(const std::string &text) {
  static const std::regex ofCall("(param|retval)\\d+");
  if (text == "_" || std::regex_match(text, ofCall))
    return {Operand::Ignored, 0, 0, {}};
  if (text[0] == '{') {
    Operand vector{Operand::Vector, 0, 0, {}};
    for (const std::string &part : split(text.substr(1, text.size() - 2), ','))
      vector.parts.push_back(operand(part));
    return vector;
  }
  if (text[0] == '[') {
    std::string inside = text.substr(1, text.size() - 2);
    size_t plus = inside.find('+');
    Operand address{Operand::Address, 0, 0, {operand(trim(inside.substr(0, plus)))}};
    if (plus != std::string::npos)
      address.value = static_cast<uint64_t>(std::stoll(inside.substr(plus + 1), nullptr, 0));
    return address;
  }
  static const std::map<std::string, Special> specials = {
      {"%tid.x", Special::ThreadX},    {"%ctaid.x", Special::BlockX},
      {"%ctaid.y", Special::BlockY},   {"%ntid.x", Special::ThreadsX},
      {"%nctaid.x", Special::BlocksX}, {"%tid.y", Special::Zero},
      {"%tid.z", Special::Zero},       {"%ctaid.z", Special::Zero}};
  if (auto special = specials.find(text); special != specials.end())
    return {Operand::Special, static_cast<uint32_t>(special->second), 0, {}};
  if (text[0] == '%')
    return registerOf(text.substr(0, text.find('|')));
  if (auto place = shared.find(text); place != shared.end())
    return {Operand::Shared, 0, place->second, {}};
  auto parameter = std::find(function.parameters.begin(), function.parameters.end(), text);
  if (parameter != function.parameters.end())
    return {
        Operand::Parameter, static_cast<uint32_t>(parameter - function.parameters.begin()), 0, {}};
  if (text.starts_with("0f") || text.starts_with("0d"))
    return {Operand::Immediate, 0, std::stoull(text.substr(2), nullptr, 16), {}};
  if (text.starts_with("0x"))
    return {Operand::Immediate, 0, std::stoull(text, nullptr, 16), {}};
  if (std::isdigit(text[0]) || text[0] == '-')
    return {Operand::Immediate,
            0,
            text[0] == '-' ? static_cast<uint64_t>(std::stoll(text)) : std::stoull(text),
            {}};
  throw std::runtime_error("unknown operand: " + text);
}

void Parser::parseStatement(const std::string &statement) {
  static const std::regex pattern("(?:@(!?)(%p\\d+)\\s+)?([\\w.:]+)\\s*([^]*)");
  std::smatch match;
  if (!std::regex_match(statement, match, pattern))
    throw std::runtime_error("unknown statement: " + statement);
  Instruction instruction;
  instruction.text = statement;
  if (match[2].length() > 0) {
    instruction.predicate = static_cast<int32_t>(registerOf(match[2]).number);
    instruction.isNegated = match[1].length() > 0;
  }
  instruction.name = split(std::string(match[3]), '.');
  for (const std::string &part : instruction.name)
    if (std::optional<Type> type = typeOf(part)) {
      instruction.from = *type;
      if (instruction.type.bits == 0 || instruction.name[0] != "cvt")
        instruction.type = *type;
    }
  std::vector<std::string> operands = split(std::string(match[4]), ',');
  if (instruction.opcode() == "call") // which a run must not come to
    operands.clear();
  if (instruction.opcode() == "bra") {
    branches.emplace_back(function.body.size(), operands.back());
    operands.clear();
  }
  for (const std::string &text : operands)
    instruction.operands.push_back(operand(text));
  function.body.push_back(std::move(instruction));
}

Function Parser::parse(const std::string &text, const std::vector<std::string> &declarations) {
  for (const std::string &declaration : declarations)
    parseShared(declaration);
  size_t brace = text.find('{');
  parseHead(text.substr(0, brace));
  std::string body = std::regex_replace(text.substr(brace + 1, text.rfind('}') - brace - 1),
                                        std::regex("//[^\n]*"), "");
  // Blocks inside, which give names to a call's parameters and to halves of registers.
  body = std::regex_replace(body, std::regex("\n[ \t]*[{}][ \t]*(?=\n)"), "\n");
  static const std::regex label("^(\\$\\w+):\\s*");
  for (std::string statement : split(body, ';')) {
    std::smatch match;
    while (std::regex_search(statement, match, label)) {
      labels[match[1]] = static_cast<uint32_t>(function.body.size());
      statement = trim(match.suffix().str());
    }
    if (statement.empty() || statement.starts_with(".reg") || statement.starts_with(".pragma") ||
        statement.starts_with(".param"))
      continue;
    if (statement.starts_with(".shared"))
      parseShared(statement);
    else
      parseStatement(statement);
  }
  for (const auto &[instruction, name] : branches)
    function.body[instruction].target = labels.at(name);
  function.registers = static_cast<uint32_t>(registers.size());
  return std::move(function);
}

} // namespace

bool Instruction::has(std::string_view part) const {
  return std::find(name.begin(), name.end(), part) != name.end();
}

std::map<std::string, Function> parse(const std::string &text) {
  std::map<std::string, Function> functions;
  // What several kernels declare together.
  std::vector<std::string> shared;
  for (size_t at = text.find("\n.shared"); at != std::string::npos;
       at = text.find("\n.shared", at + 1))
    shared.push_back(text.substr(at + 1, text.find(';', at) - at - 1));
  const std::string entry = ".visible .entry ";
  for (size_t at = text.find(entry); at != std::string::npos; at = text.find(entry, at + 1)) {
    size_t name = at + entry.size();
    size_t end = text.find("\n}", at);
    functions[text.substr(name, text.find('(', name) - name)] =
        Parser().parse(text.substr(at, end + 2 - at), shared);
  }
  return functions;
}

} // namespace deepshard::ptx
