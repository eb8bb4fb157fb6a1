//===- Cost.h - what a choice costs -----------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_PLANNER_COST_H
#define DEEPSHARD_PASSES_PLANNER_COST_H

#include <compare>
#include <cstdint>

namespace deepshard {

/// Two numbers of which the first decides and the second breaks ties. Integers, so that sums do not
/// depend on their order, and apart from each other, so that the second never reaches the first.
/// Adding the same to two costs leaves their order as it is: all that a search for the least sum
/// needs (an ordered group).
struct Cost {
  int64_t traffic = 0; // bytes that a rank receives in a step; 0 where only time counts
  int64_t time = 0;    // picoseconds of a micro-batch

  auto operator<=>(const Cost &) const = default;
  Cost &operator+=(Cost other) {
    traffic += other.traffic;
    time += other.time;
    return *this;
  }
  Cost &operator-=(Cost other) {
    traffic -= other.traffic;
    time -= other.time;
    return *this;
  }
  friend Cost operator+(Cost a, Cost b) { return a += b; }
  friend Cost operator-(Cost a, Cost b) { return a -= b; }
};

/// The cost of what must not be. Sums with it stay at it.
inline constexpr Cost kForbidden = {INT64_MAX / 4, 0};

inline Cost addCosts(Cost a, Cost b) {
  const Cost sum = a + b; // neither is above kForbidden
  return sum.traffic < kForbidden.traffic ? sum : kForbidden;
}

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLANNER_COST_H
