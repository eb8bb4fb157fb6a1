//===- CostStore.h - tables of costs, each stored once ----------------------------------------===//
//
// A network of many equal layers has few different tables. Here each gets a number by its content,
// so that equality is that of numbers, and what was derived from some tables once (a sum, a
// restriction, the elimination of a variable) is found again under their numbers. That is what
// folds a network of repeated blocks: the second block costs look-ups.
//
// Numbers stay valid as long as the store. Not safe for concurrent use.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_PLANNER_COSTSTORE_H
#define DEEPSHARD_PASSES_PLANNER_COSTSTORE_H

#include "passes/planner/Cost.h"

#include <cstddef>
#include <deque>
#include <span>
#include <unordered_map>
#include <vector>

namespace deepshard {

/// Costs over the combinations of some choices, row-major: the last one varies fastest.
struct CostArray {
  std::vector<unsigned> sizes; // choices of each
  std::vector<Cost> costs;

  bool operator==(const CostArray &) const = default;
};

using Signature = std::vector<uint32_t>;

struct SignatureHash {
  size_t operator()(const Signature &signature) const;
};

class CostStore {
public:
  using Id = uint32_t;

  Id intern(CostArray array);
  const CostArray &operator[](Id id) const { return arrays[id]; }

  /// Sets of choices, ascending.
  Id internSet(std::vector<unsigned> set);
  const std::vector<unsigned> &set(Id id) const { return sets[id]; }

  /// The sum of two arrays of equal sizes.
  Id sum(Id a, Id b);
  /// An array over two choices with these exchanged.
  Id transposed(Id id);
  /// An array without the choices that are not in the set of their place; a place with one choice
  /// left is no place any more.
  Id restricted(Id id, std::span<const Id> setIds);

  /// What the elimination of a variable left: costs over its neighbours less `least`, and per entry
  /// the best choice of the variable.
  struct Eliminated {
    Id costs;
    Cost least;
    std::vector<uint32_t> best;
  };

  // Known results, under signatures that their user makes.
  std::unordered_map<Signature, Id, SignatureHash> undominated; // sets
  std::unordered_map<Signature, Eliminated, SignatureHash> eliminations;

private:
  std::deque<CostArray> arrays;
  std::unordered_multimap<size_t, Id> idsByHash;
  std::deque<std::vector<unsigned>> sets;
  std::unordered_map<Signature, Id, SignatureHash> setIds, sums, transposes, restrictions;
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLANNER_COSTSTORE_H
