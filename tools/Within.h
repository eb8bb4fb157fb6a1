//===- Within.h - bounds of numbers on a command line -----------------------------------------===//

#ifndef DEEPSHARD_TOOLS_WITHIN_H
#define DEEPSHARD_TOOLS_WITHIN_H

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <string>

namespace deepshard {

/// Numbers from `least` to `most`. CLI::Range takes NaN, too, and prints the bounds of a double in
/// full, all 309 digits of the largest.
template <typename Number> CLI::Validator within(Number least, Number most) {
  return CLI::Validator(
      [=](std::string &text) {
        Number number{};
        const bool isNumber = CLI::detail::lexical_cast(text, number);
        return isNumber && number >= least && number <= most
                   ? std::string()
                   : fmt::format("{} is not a number from {} to {}", text, least, most);
      },
      fmt::format("{} to {}", least, most));
}

} // namespace deepshard

#endif // DEEPSHARD_TOOLS_WITHIN_H
