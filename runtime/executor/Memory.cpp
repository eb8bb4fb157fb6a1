//===- Memory.cpp - the arenas of a program and where its views lie ---------------------------===//

#include "runtime/executor/Memory.h"

namespace deepshard::runtime {

/// Where window arenas begin in the window.
static uint64_t roundedUp(uint64_t bytes) {
  constexpr uint64_t kAlignment = uint64_t{2} << 20;
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

static Space spaceOf(const planpb::Arena &arena) {
  switch (arena.space()) {
  case planpb::HOST:
    return Space::Host;
  case planpb::PINNED:
    return Space::Pinned;
  default:
    return Space::Device;
  }
}

uint64_t windowBytes(const planpb::Program &program) {
  uint64_t sum = 0;
  for (const planpb::Arena &arena : program.arenas())
    if (arena.window())
      sum = roundedUp(sum) + arena.bytes();
  return sum;
}

Memory::Memory(const planpb::Program &program, const Mesh &mesh, int rank, Device &device)
    : theProgram(program), theMesh(mesh), theRank(rank) {
  char *window = nullptr;
  if (uint64_t bytes = windowBytes(program); bytes > 0)
    window = arenas.emplace_back(device.arena(Space::Window, bytes))->data();
  uint64_t used = 0;
  for (const planpb::Arena &arena : program.arenas()) {
    if (arena.window()) {
      used = roundedUp(used);
      bases.push_back(window + used);
      used += arena.bytes();
    } else {
      bases.push_back(arenas.emplace_back(device.arena(spaceOf(arena), arena.bytes()))->data());
    }
  }
}

uint64_t Memory::bytes() const {
  uint64_t sum = 0;
  for (const planpb::Arena &arena : theProgram.arenas())
    sum += arena.bytes();
  return sum;
}

} // namespace deepshard::runtime
