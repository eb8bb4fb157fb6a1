//===- Memory.h - the arenas of a program and where its views lie -----------------------------===//

#ifndef DEEPSHARD_RUNTIME_EXECUTOR_MEMORY_H
#define DEEPSHARD_RUNTIME_EXECUTOR_MEMORY_H

#include "runtime/device/Arena.h"
#include "runtime/plan/plan.pb.h"

#include <cstdint>
#include <vector>

namespace deepshard::runtime {

/// The memory of one rank.
class Memory {
public:
  explicit Memory(const planpb::Program &program) : program(program) {
    for (const planpb::Arena &arena : program.arenas())
      arenas.emplace_back(arena.bytes());
  }

  /// Address of the first element of `view` in slot `slot`.
  char *at(const planpb::View &view, uint32_t slot = 0) const {
    const planpb::Buffer &buffer = program.buffers(static_cast<int>(view.buffer()));
    uint64_t offset = buffer.offset() + slot * buffer.slot_stride() + view.offset();
    return arenas[buffer.arena()].data() + offset;
  }

  /// Address of the start of a buffer that has no slots.
  char *at(const planpb::Buffer &buffer) const {
    return arenas[buffer.arena()].data() + buffer.offset();
  }

  uint64_t bytes() const {
    uint64_t sum = 0;
    for (const Arena &arena : arenas)
      sum += arena.size();
    return sum;
  }

private:
  const planpb::Program &program;
  std::vector<Arena> arenas;
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_EXECUTOR_MEMORY_H
