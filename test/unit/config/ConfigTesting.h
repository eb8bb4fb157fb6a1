/// Helpers of the configuration's tests.
#pragma once

#include "frontends/config/Config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace deepshard {

/// A configuration that is complete but for `extra`: members as JSON, without the braces.
inline std::string withOptimizer(const std::string &extra) {
  return R"({"train_micro_batch_size_per_gpu": 8, "optimizer": {"type": "AdamW"})" +
         (extra.empty() ? "" : ", " + extra) + "}";
}

inline ConfigResult read(const std::string &text, std::vector<std::string> overrides = {}) {
  ConfigOptions options;
  options.overrides = std::move(overrides);
  return parseConfigText(text, "c.json", options);
}

/// The errors, as the user sees them.
inline std::vector<std::string> errors(const ConfigResult &result) {
  std::vector<std::string> out;
  for (const Diagnostic &diagnostic : result.errors)
    out.push_back(diagnostic.str());
  EXPECT_EQ(result.config.has_value(), out.empty());
  return out;
}

inline std::vector<std::string> notes(const ConfigResult &result) {
  std::vector<std::string> out;
  for (const Diagnostic &diagnostic : result.notes)
    out.push_back(diagnostic.str());
  return out;
}

} // namespace deepshard
