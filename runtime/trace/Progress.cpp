//===- Progress.cpp - where a run is, for who watches it --------------------------------------===//

#include "runtime/trace/Progress.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

namespace deepshard::runtime {

std::string formatDuration(double seconds) {
  auto whole = static_cast<uint64_t>(std::llround(std::max(0.0, std::min(seconds, 1e9))));
  uint64_t hours = whole / 3600;
  if (hours > 0)
    return fmt::format("{}:{:02}:{:02}", hours, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

/// 1234567 as "1,234,567".
static std::string groupDigits(double number) {
  std::string digits = fmt::format("{:.0f}", number);
  for (size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
}

std::string describeStep(const StepMetrics &metrics, uint64_t steps, const char *unit) {
  std::string text = fmt::format("step {}/{}", metrics.step, steps);
  for (const auto &[name, value] : metrics.model) {
    if (name == "overflow")
      text += value != 0 ? " | overflow: skipped" : "";
    else if (name == "skipped_steps")
      text += value != 0 ? fmt::format(" | {} skipped so far", value) : "";
    else if (name == "loss_scale")
      text += fmt::format(" | loss_scale {}", value);
    else
      text += fmt::format(" | {} {:.4f}", name, value);
  }
  return text + fmt::format(" | lr {:.2e} | {} {}/s", metrics.learningRate,
                            groupDigits(metrics.tokensPerSecond), unit);
}

Progress::Progress(std::FILE *out, bool isTerminal, uint64_t steps, uint64_t stepsPerPrint,
                   std::string unit)
    : out(out), isTerminal(isTerminal), steps(steps), stepsPerPrint(stepsPerPrint),
      unit(std::move(unit)) {}

Progress::~Progress() {
  if (hasOpenLine)
    fmt::print(out, "\n");
}

void Progress::show(const StepMetrics &metrics) {
  constexpr double kNewest = 0.2;
  bool isFirst = lastShown == Clock::time_point();
  meanSeconds =
      isFirst ? metrics.stepSeconds : (1 - kNewest) * meanSeconds + kNewest * metrics.stepSeconds;
  Clock::time_point now = Clock::now();
  // A terminal is redrawn ten times a second at most.
  auto pause = isTerminal ? std::chrono::milliseconds(100) : std::chrono::milliseconds(1000);
  bool isDue = !isTerminal && stepsPerPrint > 0 ? metrics.step % stepsPerPrint == 0
                                                : now - lastShown >= pause;
  if (!isFirst && !isDue && metrics.step != steps)
    return;
  lastShown = now;
  std::string text = describeStep(metrics, steps, unit.c_str());
  if (isTerminal) {
    double rest = static_cast<double>(steps - metrics.step) * meanSeconds;
    fmt::print(out, "\r{} | {} left\x1b[K", text, formatDuration(rest));
    hasOpenLine = true;
  } else {
    fmt::print(out, "{}\n", text);
  }
  std::fflush(out);
}

} // namespace deepshard::runtime
