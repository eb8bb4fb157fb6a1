//===- Profile.h - where the time of a step goes ----------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_TRACE_PROFILE_H
#define DEEPSHARD_RUNTIME_TRACE_PROFILE_H

#include "runtime/kernels/Peaks.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace deepshard::planpb {
class Plan;
class Task;
} // namespace deepshard::planpb

namespace deepshard::runtime {

/// Adds up the times of the tasks of a rank by what they do: kernels by name and shapes,
/// collectives by kind and shape. The first step, which touches all memory for the first time, is
/// left out. Each stream is written to by one thread.
class Profile {
public:
  using Clock = std::chrono::steady_clock;

  /// Of the program called "train".
  explicit Profile(const planpb::Plan &plan);

  /// Allocates nothing. `task` is one of the plan's.
  void add(const planpb::Task &task, uint64_t step, Clock::duration length) noexcept;
  void endStep(uint64_t step, double seconds) noexcept;

  /// Tables: kernels by name, the most expensive ones by shape, streams. Times, FLOPs and bytes are
  /// those of a step; FLOPs are the plan's, bytes those of operands and results, each once (of a
  /// table as many as are taken from it). Shares are those of `peaks`; a peak of 0 has none. Empty
  /// after one step.
  std::string text(const MachinePeaks &peaks) const;

private:
  struct Row {
    std::string kernel; // "matmul, onednn"
    std::string shapes; // "4x256x768, 768x3072 -> 4x256x3072"
    size_t stream = 0;
    uint64_t flops = 0, bytes = 0; // of a call
    uint64_t calls = 0;
    double seconds = 0;
  };
  struct Sums;

  std::string table(std::vector<Sums> sums, size_t most, const MachinePeaks &peaks) const;

  std::vector<std::string> streams;
  std::vector<Row> rows;
  std::unordered_map<const planpb::Task *, size_t> rowOf;
  uint64_t steps = 0;
  double stepSeconds = 0;
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_TRACE_PROFILE_H
