//===- CostNetwork.h - choices with costs, and the cheapest of all combinations ---------------===//
//
// A cost function network (weighted constraint network): variables with finite domains, and costs
// that depend on one of them or on two. The minimum is found exactly, by variable elimination: a
// variable is replaced by a table over its neighbours that holds the cost of its best choice; the
// order is greedy, smallest table first. Before that, choices that cannot be better than another
// one of the same variable, whatever its neighbours do, are dropped (Goldstein's condition of
// dead-end elimination).
//
// Costs are integers, so that sums do not depend on their order.
//
// Cost. Exponential in the width of the order alone: linear in the variables of a chain or a
// ladder, which is what layers of a network are.
//
// Sources: Dechter, "Bucket elimination: a unifying framework for reasoning" (Artificial
// Intelligence 113, 1999); Goldstein, "Efficient rotamer elimination applied to protein side-chains
// and related spin glasses" (Biophysical Journal 66, 1994).
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_PLANNER_COSTNETWORK_H
#define DEEPSHARD_PASSES_PLANNER_COSTNETWORK_H

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace deepshard {

using Cost = int64_t;

/// The cost of what must not be. Sums with it stay at it.
inline constexpr Cost kForbidden = INT64_MAX / 4;

inline Cost addCosts(Cost a, Cost b) {
  const Cost sum = a + b; // neither is above kForbidden
  return sum < kForbidden ? sum : kForbidden;
}

/// Costs of all combinations of some variables.
struct CostTable {
  std::vector<unsigned> variables; // ascending
  std::vector<unsigned> sizes;     // of their domains
  std::vector<Cost> costs;         // row-major: the last variable varies fastest

  bool operator==(const CostTable &) const = default;
};

class CostNetwork {
public:
  /// A variable with choices 0 to `choices` - 1, of which there must be one; returns its index.
  unsigned addVariable(unsigned choices);

  /// Adds a cost to each choice of a variable, or to each pair of choices of two (row-major, the
  /// choices of `b` vary fastest). Costs are at least 0 and at most kForbidden.
  void add(unsigned variable, std::span<const Cost> costs);
  void add(unsigned a, unsigned b, std::span<const Cost> costs);

  size_t variables() const { return domains.size(); }
  unsigned choices(unsigned variable) const {
    return static_cast<unsigned>(domains[variable].size());
  }

  struct Solution {
    Cost cost = kForbidden;
    std::vector<unsigned> choices; // per variable
  };

  /// A cheapest combination; its cost is kForbidden if there is none that is allowed. Among equal
  /// ones always the same is returned. Nothing if a table would have more than `mostEntries`
  /// entries.
  std::optional<Solution> minimize(size_t mostEntries = kMostEntries) const;

  /// The cost of the best combination for each one of the `kept` variables (ascending).
  std::optional<CostTable> project(std::span<const unsigned> kept,
                                   size_t mostEntries = kMostEntries) const;

  /// The cost of one combination, or of choices for the first variables only: what depends on
  /// others too is left out.
  Cost costOf(std::span<const unsigned> choices) const;

  static constexpr size_t kMostEntries = size_t{1} << 26;

private:
  struct Pair {
    unsigned a, b; // a < b
    std::vector<Cost> costs;
  };

  class Elimination;

  std::vector<std::vector<Cost>> domains; // per variable and choice
  std::vector<Pair> pairs;
  std::vector<std::vector<size_t>> pairsOf; // per variable, indices of pairs
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLANNER_COSTNETWORK_H
