//===- Memory.cpp - the arenas of a program and where its views lie ---------------------------===//

#include "runtime/executor/Memory.h"

namespace deepshard::runtime {

/// Where window arenas begin: as private ones do.
static uint64_t roundedUp(uint64_t bytes) {
  return (bytes + Arena::kAlignment - 1) / Arena::kAlignment * Arena::kAlignment;
}

uint64_t windowBytes(const planpb::Program &program) {
  uint64_t sum = 0;
  for (const planpb::Arena &arena : program.arenas())
    if (arena.window())
      sum = roundedUp(sum) + arena.bytes();
  return sum;
}

Memory::Memory(const planpb::Program &program, const Mesh &mesh, int rank, char *window)
    : theProgram(program), theMesh(mesh), theRank(rank) {
  uint64_t used = 0;
  for (const planpb::Arena &arena : program.arenas()) {
    if (arena.window()) {
      used = roundedUp(used);
      bases.push_back(window + used);
      used += arena.bytes();
    } else {
      bases.push_back(arenas.emplace_back(arena.bytes()).data());
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
