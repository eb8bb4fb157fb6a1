//===- Stream.h - work in order on a thread of its own ----------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_DEVICE_STREAM_H
#define DEEPSHARD_RUNTIME_DEVICE_STREAM_H

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace deepshard::runtime {

/// A point in a stream that other streams can wait for. `Stream::record` gives it a new ticket when
/// it is issued; `Stream::wait` waits for the latest ticket issued before, whatever is recorded
/// later.
class Event {
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

/// A queue of work that one thread runs in order. All work is issued by one thread. Issuing
/// allocates nothing; it blocks while the queue is full.
class Stream {
public:
  using Work = void (*)(void *context, uint64_t argument) noexcept;

  /// `team`: OpenMP threads that work on this stream may use, itself included.
  Stream(std::string name, int team);
  /// Runs what was issued, then ends the thread.
  ~Stream();
  Stream(const Stream &) = delete;
  Stream &operator=(const Stream &) = delete;

  const std::string &name() const { return label; }

  /// Calls `work(context, argument)` after all work issued before.
  void issue(Work work, void *context, uint64_t argument);
  void record(Event &event);
  void wait(Event &event);
  /// Returns when everything issued so far has run.
  void join();

private:
  struct Item {
    Work work = nullptr;
    void *context = nullptr;
    uint64_t argument = 0;
  };

  void loop(int team);

  static constexpr size_t kQueueItems = 4096;

  std::string label;
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

#endif // DEEPSHARD_RUNTIME_DEVICE_STREAM_H
