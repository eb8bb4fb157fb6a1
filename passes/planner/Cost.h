//===- Cost.h - what a choice costs -----------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_PLANNER_COST_H
#define DEEPSHARD_PASSES_PLANNER_COST_H

#include <cstdint>

namespace deepshard {

/// Integers, so that sums do not depend on their order.
using Cost = int64_t;

/// The cost of what must not be. Sums with it stay at it.
inline constexpr Cost kForbidden = INT64_MAX / 4;

inline Cost addCosts(Cost a, Cost b) {
  const Cost sum = a + b; // neither is above kForbidden
  return sum < kForbidden ? sum : kForbidden;
}

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLANNER_COST_H
