//===- TaskClock.cpp - when work ran on a GPU -------------------------------------------------===//

#include "runtime/device/cuda/TaskClock.h"

#include "runtime/device/cuda/Check.h"

namespace deepshard::runtime::cuda {

TimedEvent::TimedEvent() {
  check(cudaEventCreateWithFlags(&handle, cudaEventDefault), "cudaEventCreateWithFlags");
}

TimedEvent::~TimedEvent() {
  if (handle)
    (void)cudaEventDestroy(handle);
}

void TimedEvent::record(cudaStream_t stream) {
  check(cudaEventRecord(handle, stream), "cudaEventRecord");
}

std::chrono::duration<float, std::milli> TimedEvent::between(const TimedEvent &from,
                                                             const TimedEvent &to) {
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, from.handle, to.handle), "cudaEventElapsedTime");
  return std::chrono::duration<float, std::milli>(milliseconds);
}

CudaTaskClock::CudaTaskClock(Streams &streams, size_t count) : streams(streams), parts(count) {}

void CudaTaskClock::begin(size_t part) {
  if (!hasBegun)
    origin.record(streams.current());
  hasBegun = true;
  parts.at(part).begin.record(streams.current());
}

void CudaTaskClock::end(size_t part) { parts.at(part).end.record(streams.current()); }

std::pair<TaskClock::Seconds, TaskClock::Seconds> CudaTaskClock::read(size_t part) {
  return {TimedEvent::between(origin, parts.at(part).begin),
          TimedEvent::between(origin, parts.at(part).end)};
}

} // namespace deepshard::runtime::cuda
