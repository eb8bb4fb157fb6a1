/// From a file to a tree of values, the same for every file that this directory reads.
#pragma once

#include "frontends/config/Diagnostic.h"
#include "frontends/config/Json.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace deepshard {

/// The content of the file at `path`; nothing, and an error, if it cannot be read.
std::optional<std::string> readText(const std::string &path, std::vector<Diagnostic> &errors);

/// As json::parse, for a text that must hold an object.
std::optional<json::Value> parseObject(std::string_view text, const std::string &name,
                                       std::vector<Diagnostic> &errors);

/// Puts diagnostics in the order of the file, so that a user can mend them from top to bottom.
void sortByLine(std::vector<Diagnostic> &diagnostics);

} // namespace deepshard
