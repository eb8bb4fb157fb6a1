//===- PtxInterpreter.h - PTX, run step by step -----------------------------------------------===//
//
// Runs the text that goes into the plan, and watches it: every access must lie within an operand
// and be aligned; no two threads may access the same byte, one of them writing, unless a barrier
// lies between; shared memory must have been written; all lanes must come to each shuffle and all
// threads to each barrier. Also counts how much of the sectors of global memory is used.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_TEST_UNIT_GPU_PTXINTERPRETER_H
#define DEEPSHARD_TEST_UNIT_GPU_PTXINTERPRETER_H

#include "DeviceMemory.h"
#include "Ptx.h"

#include <array>
#include <random>
#include <unordered_map>

namespace deepshard::ptx {

/// Bytes that warps accessed in global memory, and bytes of the sectors of 32 in which these lie.
/// What a warp accesses in one of eight loads (or stores) in a row counts once.
struct Traffic {
  uint64_t used = 0, touched = 0;

  Traffic &operator+=(const Traffic &other) {
    used += other.used;
    touched += other.touched;
    return *this;
  }
};

class Interpreter {
public:
  explicit Interpreter(const DeviceMemory &memory) : memory(&memory) {}
  /// On memory of which nothing is known: accesses of global memory are not watched.
  Interpreter() = default;

  /// Runs a function whose parameters are addresses. Returns what went wrong, or nothing.
  std::string run(const Function &function, std::array<int64_t, 3> grid, uint32_t threads,
                  const std::vector<void *> &arguments, uint64_t seed);
  /// The same for a function of one parameter, a struct.
  std::string run(const Function &function, std::array<int64_t, 3> grid, uint32_t threads,
                  const std::vector<char> &argument, uint64_t seed);

  const Traffic &traffic() const { return counted; }
  uint64_t instructions() const { return executed; }

private:
  static constexpr uint32_t kWarp = 32;

  enum class State : uint8_t { Ready, AtShuffle, AtBarrier, Done };
  struct Thread {
    std::vector<uint64_t> registers;
    uint32_t position = 0;
    State state = State::Ready;
  };

  /// Who accessed a byte last.
  struct Access {
    uint32_t thread = 0; // 1 + number in the block; kMany: several; kAtomic: any, atomically
    int32_t block = -1;  // kManyBlocks: several
    uint32_t epoch = 0;  // barriers that the block had passed
  };
  static constexpr uint32_t kMany = ~0u, kAtomic = ~0u - 1;
  static constexpr int32_t kManyBlocks = -2;
  struct Byte {
    Access write, read;
  };

  /// Accesses of a warp that count together.
  struct Window {
    int accesses = 0;
    std::unordered_map<uint64_t, uint32_t> sectors; // used bytes, a bit each
  };

  std::string runAll(const Function &function, std::array<int64_t, 3> grid, uint32_t threads,
                     uint64_t seed);
  void runBlock();
  void runWarp(uint32_t warp);
  void step(uint32_t warp, uint32_t position);
  bool meet(uint32_t warp);
  void exchange(uint32_t warp, const Instruction &instruction);
  void execute(Thread &thread, uint32_t index, const Instruction &instruction);
  void load(Thread &thread, uint32_t index, const Instruction &instruction);
  void store(Thread &thread, uint32_t index, const Instruction &instruction);
  const char *parameter(const Thread &thread, uint32_t index, const Instruction &instruction,
                        uint32_t bytes) const;
  void addAtomically(Thread &thread, uint32_t index, const Instruction &instruction);
  /// Checks an access; returns where the bytes are.
  char *access(Thread &thread, uint32_t index, const Instruction &instruction,
               const Operand &address, uint32_t bytes, bool isStore);
  /// `thread`: as in Access.
  void watch(Byte &byte, uint32_t thread, bool isStore, const Instruction &instruction);
  void count(uint32_t warp, uint64_t address, uint32_t bytes, bool isStore);
  void close(Window &window);

  uint64_t read(const Thread &thread, uint32_t index, const Operand &operand) const;
  static void write(Thread &thread, const Operand &operand, uint64_t value);

  [[noreturn]] static void fail(const std::string &what, const Instruction &instruction);

  const DeviceMemory *memory = nullptr;
  const Function *function = nullptr;
  const char *parameters = nullptr; // 8 bytes each, or one struct
  size_t parameterBytes = 0;
  std::vector<Thread> threads;
  int32_t blockX = 0, blockY = 0, block = 0;
  uint32_t blocksX = 0;
  uint32_t epoch = 0;
  std::vector<Byte> global, shared;
  std::vector<char> sharedBytes;
  std::vector<std::array<Window, 2>> windows; // of a warp: loads, stores
  std::mt19937_64 random;
  Traffic counted;
  uint64_t executed = 0;
};

} // namespace deepshard::ptx

#endif // DEEPSHARD_TEST_UNIT_GPU_PTXINTERPRETER_H
