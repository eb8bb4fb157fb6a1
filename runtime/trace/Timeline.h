//===- Timeline.h - when each task ran --------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_TRACE_TIMELINE_H
#define DEEPSHARD_RUNTIME_TRACE_TIMELINE_H

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace deepshard::planpb {
class Plan;
class Task;
} // namespace deepshard::planpb

namespace deepshard::runtime {

/// Records the tasks of a run, up to a number that is allocated at once; later ones are left out.
/// Each stream is written to by one thread.
class Timeline {
public:
  using Clock = std::chrono::steady_clock;

  /// Room for kMostSpans tasks in all, shared out equally over the streams of the program called
  /// "train". Times count from `start`, which is one for all ranks.
  explicit Timeline(const planpb::Plan &plan, int rank = 0, Clock::time_point start = Clock::now());

  /// Allocates nothing. `task` must live as long as this.
  void add(const planpb::Task &task, uint64_t step, uint32_t microBatch, Clock::time_point begin,
           Clock::time_point end) noexcept;

  /// Gives the spans as events of Trace Event JSON, each followed by ",\n"; between brackets,
  /// ui.perfetto.dev and chrome://tracing show them: a process per rank with a row per stream, the
  /// kernel or collective as name, phase as category; location, step, micro-batch and GFLOP/s or
  /// bytes as arguments.
  void write(const std::function<void(const std::string &)> &put) const;

  static constexpr size_t kMostSpans = 400'000;

private:
  struct Span {
    const planpb::Task *task;
    uint64_t step;
    uint32_t microBatch;
    Clock::time_point begin;
    Clock::time_point end;
  };

  int rank;
  std::vector<std::string> names;
  std::vector<std::vector<Span>> streams;
  Clock::time_point start;
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_TRACE_TIMELINE_H
