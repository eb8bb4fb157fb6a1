//===- CostNetwork.h - choices with costs, and the cheapest of all combinations ---------------===//
//
// A cost function network (weighted constraint network): variables with finite domains, and costs
// that depend on one of them or on two. The minimum is found exactly (Elimination.h).
//
// Tables of costs are stored once (CostStore.h); copies of a network share the store.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_PLANNER_COSTNETWORK_H
#define DEEPSHARD_PASSES_PLANNER_COSTNETWORK_H

#include "passes/planner/CostStore.h"

#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace deepshard {

/// Costs of all combinations of some variables.
struct CostTable {
  std::vector<unsigned> variables; // ascending
  std::vector<unsigned> sizes;     // of their domains
  std::vector<Cost> costs;         // row-major: the last variable varies fastest

  bool operator==(const CostTable &) const = default;
};

class CostNetwork {
public:
  CostNetwork() : tables(std::make_shared<CostStore>()) {}

  /// A variable with choices 0 to `choices` - 1, of which there must be one; returns its index.
  unsigned addVariable(unsigned choices);

  /// A list of costs that may be added several times; of a variable, or of a pair of them
  /// (row-major, the choices of the second vary fastest). Costs are at least 0 and at most
  /// kForbidden.
  CostStore::Id table(std::vector<Cost> costs);
  CostStore::Id table(unsigned rows, unsigned columns, std::vector<Cost> costs);

  /// Adds a cost to each choice of a variable, or to each pair of choices of two.
  void add(unsigned variable, CostStore::Id costs);
  void add(unsigned a, unsigned b, CostStore::Id costs);
  void add(unsigned variable, std::vector<Cost> costs) { add(variable, table(std::move(costs))); }
  void add(unsigned a, unsigned b, std::vector<Cost> costs) {
    add(a, b, table(choices(a), choices(b), std::move(costs)));
  }

  /// Adds the costs of equal choices, of a table over a variable twice.
  void addDiagonal(unsigned variable, CostStore::Id costs);

  size_t variables() const { return domains.size(); }
  unsigned choices(unsigned variable) const { return domains[variable].choices; }

  const std::vector<Cost> &costsOf(CostStore::Id table) const { return (*tables)[table].costs; }

  /// The costs of the choices of a variable by themselves.
  const std::vector<Cost> &costsAlone(unsigned variable) const {
    return costsOf(domains[variable].costs);
  }
  /// Two variables that cost something together: a table of all pairs of choices.
  struct Pair {
    unsigned a, b; // a < b
    CostStore::Id costs;
  };
  const std::vector<Pair> &allPairs() const { return pairs; }

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

  /// What a combination costs at one variable: by itself, and together with each other one.
  Cost costAt(unsigned variable, std::span<const unsigned> choices) const;

  static constexpr size_t kMostEntries = size_t{1} << 26;

private:
  friend class Elimination;

  struct Domain {
    unsigned choices;
    CostStore::Id costs;
    std::vector<size_t> pairs; // indices
  };

  std::shared_ptr<CostStore> tables;
  std::vector<Domain> domains; // per variable
  std::vector<Pair> pairs;
  std::unordered_map<uint64_t, size_t> pairIndex; // by a and b
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLANNER_COSTNETWORK_H
