//===- Parallel.h - splitting a range over the OpenMP team ------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_PARALLEL_H
#define DEEPSHARD_RUNTIME_KERNELS_PARALLEL_H

#include <algorithm>
#include <cstdint>
#include <omp.h>

namespace deepshard::runtime {

/// Calls `body(begin, end)` for consecutive ranges that cover [0, count), one per thread, each a
/// multiple of `grain` long but the last. Work of one grain stays on the calling thread. The team
/// always has `threads` threads: a team that changes its size makes libgomp start and stop threads.
template <typename Body>
void parallelRanges(int threads, int64_t count, int64_t grain, const Body &body) noexcept {
  const int64_t pieces = (count + grain - 1) / grain;
  if (threads <= 1 || pieces <= 1) {
    if (count > 0)
      body(int64_t{0}, count);
    return;
  }
#pragma omp parallel num_threads(threads)
  {
    const int64_t team = omp_get_num_threads();
    const int64_t me = omp_get_thread_num();
    const int64_t begin = std::min(pieces * me / team * grain, count);
    const int64_t end = std::min(pieces * (me + 1) / team * grain, count);
    if (begin < end)
      body(begin, end);
  }
}

/// Calls `body(task, thread)` for every task below `tasks`, in any order, on at most `threads`
/// threads. For tasks of unequal length whose results do not depend on who computes them.
template <typename Body> void parallelTasks(int threads, int64_t tasks, const Body &body) noexcept {
  if (threads <= 1 || tasks <= 1) {
    for (int64_t task = 0; task < tasks; ++task)
      body(task, 0);
    return;
  }
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
  for (int64_t task = 0; task < tasks; ++task)
    body(task, omp_get_thread_num());
}

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_KERNELS_PARALLEL_H
