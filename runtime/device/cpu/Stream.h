//===- Stream.h - work in order on a thread of its own ----------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_DEVICE_CPU_STREAM_H
#define DEEPSHARD_RUNTIME_DEVICE_CPU_STREAM_H

#include "runtime/device/Device.h"

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace deepshard::runtime {

/// `record` gives it a new ticket when it is issued; `wait` waits for the latest ticket issued
/// before, whatever is recorded later.
class CpuEvent final : public Event {
public:
  /// Host side, called by the thread that issues work.
  uint64_t nextTicket() { return ++issued; }
  uint64_t latestTicket() const { return issued; }

  /// Stream side.
  void complete(uint64_t ticket);
  void waitFor(uint64_t ticket);

private:
  uint64_t issued = 0; // touched by the issuing thread only
  std::mutex mutex;
  std::condition_variable changed;
  uint64_t completed = 0;
};

/// A queue of work that one thread runs in order. Issuing blocks while the queue is full.
class CpuStream final : public Stream {
public:
  /// `team`: OpenMP threads that work on this stream may use, itself included.
  explicit CpuStream(int team);
  /// Runs what was issued, then ends the thread.
  ~CpuStream() override;
  CpuStream(const CpuStream &) = delete;
  CpuStream &operator=(const CpuStream &) = delete;

  void issue(Work work, void *context, uint64_t argument) override;
  void record(Event &event) override;
  void wait(Event &event) override;
  void join() override;

private:
  struct Item {
    Work work = nullptr;
    void *context = nullptr;
    uint64_t argument = 0;
  };

  void loop(int team);

  static constexpr size_t kQueueItems = 4096;

  std::vector<Item> queue;
  std::mutex mutex;
  std::condition_variable arrived; // the thread waits for work
  std::condition_variable freed;   // the issuer waits for room or for the end
  uint64_t issuedItems = 0;
  uint64_t finishedItems = 0;
  bool isEnding = false;
  std::thread thread; // last: starts when everything above exists
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_DEVICE_CPU_STREAM_H
