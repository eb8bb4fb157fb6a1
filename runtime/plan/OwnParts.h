//===- OwnParts.h - what each rank has written of its own part (private) ----------------------===//
//
// Ranks that share a program share the proof of its order, though a view with axis strides names
// other bytes on each of them. Such a view is a *place* (its bytes on the rank of coordinates 0)
// and a *shift*, which says how far a rank's coordinates move it. Two views of one shift are moved
// alike, so their places tell, for every rank at once, whether one covers the other. Of other views
// only the reach is known, the bytes from the place to where the largest coordinates move its end:
//
//   place      |####|
//   rank 0     |####|....|....|....|
//   rank 1     |....|####|....|....|
//   reach      |-------------------|
//
// State: per arena and shift a map of disjoint places with the buffer through which they were last
// written. Invariant: each rank has written what its coordinates make of a place through that
// buffer, and no other buffer has written there since. Cost: O(log p) for p places of the arena per
// shift and access, whatever the number of ranks.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_PLAN_OWNPARTS_H
#define DEEPSHARD_RUNTIME_PLAN_OWNPARTS_H

#include "runtime/plan/Mesh.h"

#include <cstdint>
#include <map>
#include <vector>

namespace deepshard::runtime {

/// Bytes per unit of a coordinate.
struct ShiftStep {
  Digit digit;
  uint64_t bytes = 0;
  auto operator<=>(const ShiftStep &) const = default;
};

/// How coordinates move a view, in normal form: views that are moved alike on all ranks have equal
/// shifts, unless a view names an axis twice. Empty: not moved.
using Shift = std::vector<ShiftStep>;

/// `steps` in normal form: what does not move is left out, coarse digits first, neighbours that are
/// one digit together are joined.
Shift normalised(Shift steps);
Shift shiftOf(const Mesh &mesh, const planpb::View &view);

/// Whether two digits have a coordinate in common.
bool overlap(const Digit &a, const Digit &b);

/// Some bytes of one arena, written or read through one buffer.
struct Access {
  uint32_t arena = 0;
  uint64_t begin = 0; // of the place
  uint64_t end = 0;
  uint64_t largestShift = 0; // the reach ends at end + largestShift
  uint64_t owner = 0;        // buffer * slots + slot
  Shift shift;

  bool operator==(const Access &) const = default;
  uint64_t reachEnd() const { return begin == end ? end : end + largestShift; }
};

class OwnParts {
public:
  explicit OwnParts(size_t arenas) : arenas(arenas) {}

  /// Each rank writes its part, during schedule entry `call`.
  void write(const Access &access, uint32_t call);
  /// What other buffers have in the reach of a write is lost.
  void overwrite(const Access &access);
  /// Whether each rank has written what it reads where the reach of `access` meets [begin, end).
  /// `call`: the writing counts only during this schedule entry; nullptr: whenever it was.
  bool cover(const Access &access, uint64_t begin, uint64_t end, const uint32_t *call) const;

private:
  struct Place {
    uint64_t end = 0;
    uint64_t owner = 0;
    uint32_t call = 0;
  };
  struct Places {
    uint64_t largestShift = 0;
    std::map<uint64_t, Place> at;
    void split(uint64_t where);
  };
  std::vector<std::map<Shift, Places>> arenas;
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_PLAN_OWNPARTS_H
