//===- Progress.h - where a run is, for who watches it ----------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_TRACE_PROGRESS_H
#define DEEPSHARD_RUNTIME_TRACE_PROGRESS_H

#include "runtime/trace/Metrics.h"

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

namespace deepshard::runtime {

/// "1:02:03" or "2:03".
std::string formatDuration(double seconds);

/// "step 12/200 | loss 3.2112 | lr 1.00e-04 | 12,345 tokens/s".
std::string describeStep(const StepMetrics &metrics, uint64_t steps, const char *unit);

/// Shows the steps of a run: on a terminal one line that is rewritten, with the time that remains;
/// else a line every `stepsPerPrint` steps, or, if that is 0, about every second. The first and the
/// last step are always shown.
class Progress {
public:
  /// `unit`: what StepMetrics.tokensPerSecond counts, "tokens" or "samples".
  Progress(std::FILE *out, bool isTerminal, uint64_t steps, uint64_t stepsPerPrint,
           std::string unit);
  /// Ends the line.
  ~Progress();
  Progress(const Progress &) = delete;
  Progress &operator=(const Progress &) = delete;

  void show(const StepMetrics &metrics);

private:
  using Clock = std::chrono::steady_clock;

  std::FILE *out;
  bool isTerminal;
  uint64_t steps;
  uint64_t stepsPerPrint;
  std::string unit;
  Clock::time_point lastShown;
  double meanSeconds = 0; // of a step, newer steps weigh more
  bool hasOpenLine = false;
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_TRACE_PROGRESS_H
