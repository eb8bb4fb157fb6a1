//===- Fibers.h - the threads of an emulated block --------------------------------------------===//

#ifndef DEEPSHARD_TEST_UNIT_GPU_FIBERS_H
#define DEEPSHARD_TEST_UNIT_GPU_FIBERS_H

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace deepshard {

/// A block of threads that take turns on one thread of the host.
class Block {
public:
  Block(uint32_t threads, uint64_t seed);
  Block(const Block &) = delete;
  Block &operator=(const Block &) = delete;
  ~Block();

  /// Runs `body` once in every thread. Returns what went wrong, or nothing.
  std::string run(const std::function<void()> &body);

  //===-- for the body ------------------------------------------------------------------------===//

  static Block *current;
  int64_t blockX = 0, blockY = 0;

  uint32_t thread() const { return running; }
  /// As shfl.sync.bfly.
  float shuffle(uint32_t mask, float value, uint32_t distance, uint32_t clamp);
  void barrier();

private:
  enum class State { Ready, AtShuffle, AtBarrier, Done, Faulted };
  struct Thread {
    void *stackPointer = nullptr;
    State state = State::Ready;
    uint32_t mask = 0, distance = 0, clamp = 0;
    float value = 0, result = 0;
  };

  static void start();
  static void onFault();
  static void handleSignal(int, void *, void *);
  void prepare(uint32_t thread);
  void leave(State state);
  std::string exchange(uint32_t warp);
  std::string exchangeAll();

  std::vector<Thread> threads;
  char *stacks;
  void *scheduler = nullptr; // its stack pointer
  uint32_t running = 0;
  const std::function<void()> *body = nullptr;
  std::mt19937_64 random;
};

} // namespace deepshard

#endif // DEEPSHARD_TEST_UNIT_GPU_FIBERS_H
