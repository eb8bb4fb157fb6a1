#include "frontends/config/Source.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <sstream>

namespace deepshard {

std::optional<std::string> readText(const std::string &path, std::vector<Diagnostic> &errors) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  // Reading a directory succeeds at open and fails here.
  if (stream && stream.peek() != std::ifstream::traits_type::eof())
    text << stream.rdbuf();
  if (!stream.is_open() || stream.bad()) {
    errors.push_back(
        {path, 0, "", fmt::format("cannot be read: {}", std::strerror(errno ? errno : EIO))});
    return std::nullopt;
  }
  return text.str();
}

std::optional<json::Value> parseObject(std::string_view text, const std::string &name,
                                       std::vector<Diagnostic> &errors) {
  std::optional<json::Value> root = json::parse(text, name, errors);
  if (root && !root->isObject()) {
    errors.push_back({name, root->line, "", "expected an object, found " + json::describe(*root)});
    root.reset();
  }
  return root;
}

void sortByLine(std::vector<Diagnostic> &diagnostics) {
  std::stable_sort(diagnostics.begin(), diagnostics.end(),
                   [](const Diagnostic &a, const Diagnostic &b) { return a.line < b.line; });
}

} // namespace deepshard
