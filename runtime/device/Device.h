//===- Device.h - what an executor needs of the device a rank runs on -------------------------===//
//
// Two kinds of streams fit this interface. One of the CPU is a queue with a thread: work that is
// issued runs there, later. One of CUDA is a queue of the device: work that is issued runs at once
// on the calling thread, and what it starts on the device (kernels, copies, collectives) joins the
// queue. Either way the kernels and communicators of a device mean "the stream whose work this is",
// and are told of no other.
//
// Everything but the work of CPU streams is called by the one thread that made the device.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_DEVICE_DEVICE_H
#define DEEPSHARD_RUNTIME_DEVICE_DEVICE_H

#include "runtime/comm/Communicator.h"
#include "runtime/kernels/Peaks.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace deepshard::runtime {

/// One block of memory, allocated once; zero at first, aligned as any plan asks for.
class Arena {
public:
  virtual ~Arena() = default;
  Arena(const Arena &) = delete;
  Arena &operator=(const Arena &) = delete;

  char *data() const { return base; }
  uint64_t size() const { return bytes; }

protected:
  explicit Arena(uint64_t bytes) : bytes(bytes) {}

  char *base = nullptr;
  uint64_t bytes;
};

/// Memory of a device that is not the host's, by what its driver says is free. Other processes
/// count too.
struct DeviceBytes {
  uint64_t count = 0;      ///< of arenas that are not empty
  uint64_t arenas = 0;     ///< what these were asked for
  uint64_t arenasTook = 0; ///< what there was less when these had been given
  uint64_t before = 0;     ///< taken before the first arena: by the driver for this process
  uint64_t taken = 0;      ///< now, in all
};

/// Where an arena lies. `Window` is memory of the device that other ranks reach into.
enum class Space { Device, Window, Host, Pinned };

/// A point in a stream that other streams can wait for.
class Event {
public:
  virtual ~Event() = default;
};

/// Work in order. All of it is issued by one thread.
class Stream {
public:
  using Work = void (*)(void *context, uint64_t argument) noexcept;

  virtual ~Stream() = default;
  /// Calls `work(context, argument)`, see above. Allocates nothing.
  virtual void issue(Work work, void *context, uint64_t argument) = 0;
  virtual void record(Event &event) = 0;
  /// Waits for the latest `record` of `event` issued before.
  virtual void wait(Event &event) = 0;
  /// Returns when everything issued so far has run. Throws Error if the device failed.
  virtual void join() = 0;
};

/// Work of several streams that was recorded once, to be started as a whole.
class Graph {
public:
  virtual ~Graph() = default;
  /// Runs all of it, after everything issued to any stream before and before everything after.
  virtual void launch() = 0;
};

/// A strided window of elements of `width` bytes, from one place to another.
struct StridedCopy {
  const char *from;
  char *to;
  std::span<const int64_t> shape;
  std::span<const int64_t> fromStrides; // in elements
  std::span<const int64_t> toStrides;
  size_t width;
};

/// When parts of the work of a step ran on a device. Parts are numbered.
class TaskClock {
public:
  using Seconds = std::chrono::duration<double>;

  virtual ~TaskClock() = default;
  /// No stream has work; times count from the first `begin` behind this.
  virtual void beginStep() = 0;
  /// Around a part of the work of a stream.
  virtual void begin(size_t part) = 0;
  virtual void end(size_t part) = 0;
  /// When a part began and ended. No stream has work.
  virtual std::pair<Seconds, Seconds> read(size_t part) = 0;
};

/// What the host gives to a device lies at multiples of this while it waits.
inline constexpr uint64_t kStagingAlignment = 64;

/// A CPU, or a GPU with its libraries. Faults of the device are thrown as Error.
class Device {
public:
  virtual ~Device() = default;

  virtual std::unique_ptr<Arena> arena(Space space, uint64_t bytes) = 0;
  /// What is taken of the device's memory; nothing where it is the host's.
  virtual std::optional<DeviceBytes> bytes() const { return std::nullopt; }
  virtual std::unique_ptr<Stream> stream(const std::string &name) = 0;
  virtual std::unique_ptr<Event> event() = 0;
  /// The kernels called `name`; null if the device has none such. Throws Error if their library is
  /// missing.
  virtual const KernelProvider *provider(std::string_view name) = 0;
  /// The collectives of `members` on this device; `host` are those of the same group in host
  /// memory. Called by all ranks for all groups in one order.
  virtual std::unique_ptr<Communicator> communicator(std::unique_ptr<Communicator> host,
                                                     std::span<const int> members) = 0;

  /// Whether arenas are memory that the host reads and writes.
  virtual bool isHost() const = 0;
  /// Returns when the bytes are there. No stream has work.
  virtual void write(char *to, const void *from, uint64_t bytes) = 0;
  virtual void read(void *to, const char *from, uint64_t bytes) = 0;

  /// Parts of the work of a stream. What the host gives to the device: it writes `bytes` where
  /// `stage` says, then they are sent to `to`.
  virtual char *stage(char *to, uint64_t bytes) = 0;
  virtual void send(char *to, const char *staged, uint64_t bytes) = 0;
  virtual void copy(const StridedCopy &copy) = 0;
  /// Notes that the stream has come to `number`, above 0, for messages about one that comes no
  /// further. Where the host runs all work it sees that itself.
  virtual void mark(uint64_t) {}
  /// Throws the Error of the last kernel that this work ran, whose `run` may not throw.
  virtual void throwIfFailed() = 0;

  /// Room for all that a step stages. Every step starts it anew.
  virtual void reserveStaging(uint64_t bytes) = 0;
  virtual void beginStep() = 0;

  /// What a stream has come to in this step; 0 if that is not known.
  virtual uint64_t marked(const Stream &) const { return 0; }

  /// Records what `issue` gives to the streams; runs nothing of it. Null if the device does not
  /// do that.
  virtual std::unique_ptr<Graph> capture(const std::function<void()> &issue) = 0;

  /// Measures up to so many parts of a step; null if work runs when the host sees it run.
  virtual std::unique_ptr<TaskClock> clock(size_t parts) = 0;
  /// What the device can do, in some tenths of a second; matmuls of `products` if it has a choice.
  virtual MachinePeaks measurePeaks(DType products, int threads) = 0;
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_DEVICE_DEVICE_H
