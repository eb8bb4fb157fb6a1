//===- Fibers.h - the threads of an emulated block --------------------------------------------===//

#ifndef DEEPSHARD_TEST_UNIT_GPU_FIBERS_H
#define DEEPSHARD_TEST_UNIT_GPU_FIBERS_H

#include <array>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace deepshard {

/// A block of threads that take turns on one thread of the host.
class Block {
public:
  static constexpr uint32_t kWarp = 32;

  Block(uint32_t threads, uint64_t seed);
  Block(const Block &) = delete;
  Block &operator=(const Block &) = delete;
  ~Block();

  /// Begins the order of turns anew.
  void reseed(uint64_t seed) { random.seed(seed); }
  /// Runs `body` once in every thread. Returns what went wrong, or nothing.
  std::string run(const std::function<void()> &body);

  //===-- for the body ------------------------------------------------------------------------===//

  static Block *current;
  int64_t blockX = 0, blockY = 0;

  uint32_t thread() const { return running; }
  void barrier();
  /// Gives a value to the other lanes of the warp; returns what they gave, valid until this one
  /// meets them again. All lanes come to the same meeting: `which` is the same.
  const std::array<uint64_t, kWarp> &meet(uint64_t value, uint32_t which);
  /// As shfl.sync.bfly, of all lanes.
  float shuffle(uint32_t mask, float value, uint32_t distance, uint32_t clamp);
  /// Ends the run: something went wrong.
  [[noreturn]] void fail(const char *what);

private:
  enum class State { Ready, AtMeeting, AtBarrier, Done, Faulted };
  struct Thread {
    void *stackPointer = nullptr;
    State state = State::Ready;
    uint64_t value = 0; // for the others
    uint32_t which = 0;
  };

  static void start();
  static void onFault();
  static void handleSignal(int, void *, void *);
  void prepare(uint32_t thread);
  void leave(State state);
  std::string exchange(uint32_t warp);
  std::string exchangeAll();

  std::vector<Thread> threads;
  std::vector<std::array<uint64_t, kWarp>> given; // by the lanes of each warp
  const char *fault = nullptr;
  char *stacks;
  void *scheduler = nullptr; // its stack pointer
  uint32_t running = 0;
  const std::function<void()> *body = nullptr;
  std::mt19937_64 random;
};

} // namespace deepshard

#endif // DEEPSHARD_TEST_UNIT_GPU_FIBERS_H
