//===- Explorer.h - runs a small plan in every order that its streams allow
//----------------------===//
//
// The oracle of the checker: it knows nothing of clocks, classes or reach arithmetic on ranges of a
// rank that stands for all; it has all ranks, and takes every step that can be taken in every
// state.
//
// State: per rank and stream the next task and whether it has begun; per rank and cell of memory a
// tag: the buffer (and slot) through which it was last written and in which call. Cells are the
// pieces that the views of all ranks cut the arenas into.
//
// Steps: a task begins, or ends; a collective begins on each member alone, and ends on all at once
// when all have begun. Records and waits that can pass are passed at once: they touch no memory,
// and passing one never stops another step.
//
// Faults: a task begins while another that has begun on the same rank uses a byte that one of both
// writes (race); a task reads a byte whose tag is not its buffer's, of this call if transient
// (value); one task uses a byte twice that it writes, not as plan.proto allows (overlap); members
// meet in collectives that differ or find each other's memory elsewhere (mismatch); nothing can
// move, but not all have ended (deadlock).
//
// Where the checker is stricter than that on purpose, the explorer has the same rule (rule):
//
//   1. Views lie inside their buffers on all ranks; persistent and slot buffers share no byte with
//      another, used or not.
//   2. What is waited for was recorded before, in this step.
//   3. The sequence of collectives ascends in the order of the schedule.
//   4. A view with axis strides counts, for races and for what other buffers lose, with all bytes
//      that it reaches on any rank.
//   5. If programs differ, each must be sound on all ranks too: its order comes from its own
//   streams
//      and events, not from what other ranks happen to run. So each is explored alone as well.
//
// Cost: exponential in streams times ranks.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_TEST_UNIT_RUNTIME_EXPLORER_H
#define DEEPSHARD_TEST_UNIT_RUNTIME_EXPLORER_H

#include "runtime/plan/plan.pb.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace deepshard::runtime::test {

enum class Finding { Sound, Race, Value, Overlap, Mismatch, Deadlock, Rule, TooLarge };

struct Exploration {
  Finding finding = Finding::Sound;
  std::string what;  // the first fault, for people
  size_t states = 0; // visited
};

/// Explores `plan`, of which rank i runs program `programOf[i]`. Views and indices must exist.
/// TooLarge: there are more than `mostStates` states and no fault was found in these.
Exploration explore(const planpb::Plan &plan, const std::vector<uint32_t> &programOf,
                    size_t mostStates = 200000);

} // namespace deepshard::runtime::test

#endif // DEEPSHARD_TEST_UNIT_RUNTIME_EXPLORER_H
