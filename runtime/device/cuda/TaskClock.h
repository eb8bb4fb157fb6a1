//===- TaskClock.h - when work ran on a GPU ---------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_DEVICE_CUDA_TASKCLOCK_H
#define DEEPSHARD_RUNTIME_DEVICE_CUDA_TASKCLOCK_H

#include "runtime/device/cuda/Stream.h"

namespace deepshard::runtime::cuda {

/// An event of a stream that knows its time.
class TimedEvent {
public:
  TimedEvent();
  ~TimedEvent();
  TimedEvent(TimedEvent &&other) noexcept : handle(std::exchange(other.handle, nullptr)) {}

  void record(cudaStream_t stream);
  /// Between two events that have happened.
  static std::chrono::duration<float, std::milli> between(const TimedEvent &from,
                                                          const TimedEvent &to);

private:
  cudaEvent_t handle = nullptr;
};

/// By events around each part.
class CudaTaskClock final : public TaskClock {
public:
  CudaTaskClock(Streams &streams, size_t parts);

  void beginStep() override { hasBegun = false; }
  void begin(size_t part) override;
  void end(size_t part) override;
  std::pair<Seconds, Seconds> read(size_t part) override;

private:
  struct Part {
    TimedEvent begin, end;
  };
  Streams &streams;
  std::vector<Part> parts;
  TimedEvent origin;
  bool hasBegun = false;
};

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_DEVICE_CUDA_TASKCLOCK_H
