//===- Device.h - the CPU as a device ---------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_DEVICE_CPU_DEVICE_H
#define DEEPSHARD_RUNTIME_DEVICE_CPU_DEVICE_H

#include "runtime/device/Device.h"
#include "runtime/kernels/generated/Generated.h"

namespace deepshard::runtime {

/// Arenas in host memory, a thread for each stream, collectives through shared memory.
class CpuDevice final : public Device {
public:
  /// `code`: of generated kernels; may be empty. `threads`: of the team of each stream. `window`:
  /// this rank's (World.h); null: it shares none. Throws Error if the code cannot be loaded.
  CpuDevice(std::string_view code, int threads, char *window);

  std::unique_ptr<Arena> arena(Space space, uint64_t bytes) override;
  std::unique_ptr<Stream> stream(const std::string &name) override;
  std::unique_ptr<Event> event() override;
  const KernelProvider *provider(std::string_view name) override;
  std::unique_ptr<Communicator> communicator(std::unique_ptr<Communicator> host,
                                             std::span<const int> members) override;
  bool isHost() const override { return true; }
  void write(char *to, const void *from, uint64_t bytes) override;
  void read(void *to, const char *from, uint64_t bytes) override;
  char *stage(char *to, uint64_t) override { return to; }
  void send(char *, const char *, uint64_t) override {}
  void copy(const StridedCopy &copy) override;
  void throwIfFailed() override {}
  void reserveStaging(uint64_t) override {}
  void beginStep() override {}
  std::unique_ptr<Graph> capture(const std::function<void()> &) override { return nullptr; }
  std::unique_ptr<TaskClock> clock(size_t) override { return nullptr; }
  MachinePeaks measurePeaks(DType products, int threads) override {
    return runtime::measurePeaks(products, threads);
  }

private:
  std::unique_ptr<Code> code; ///< null: there is none
  GeneratedProvider generated;
  int threads;
  char *window;
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_DEVICE_CPU_DEVICE_H
