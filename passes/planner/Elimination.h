//===- Elimination.h - the minimum of a cost network, variable by variable --------------------===//
//
// A variable is replaced by a table over its neighbours that holds the cost of its best choice; the
// order is greedy, least work first. Before that, choices that cannot be better than another one
// of the same variable, whatever its neighbours do, are dropped (Goldstein's condition of dead-end
// elimination).
//
// Each step depends on the tables around one variable only and is remembered under their numbers
// (CostStore.h). Tables are kept less their least entry, so that those behind many equal layers
// come to be equal too: a chain of layers is a power of a matrix over (min, +), and these powers
// soon repeat but for a constant.
//
// Cost. Exponential in the width of the order alone: linear in the variables of a chain or a
// ladder, which is what layers of a network are; equal layers after the first few cost look-ups.
//
// Sources: Dechter, "Bucket elimination: a unifying framework for reasoning" (Artificial
// Intelligence 113, 1999); Goldstein, "Efficient rotamer elimination applied to protein side-chains
// and related spin glasses" (Biophysical Journal 66, 1994); Cohen, Moller, Quadrat and Viot,
// "Algebraic tools for the performance evaluation of discrete event systems" (Proc. IEEE 77, 1989)
// for the powers.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_PLANNER_ELIMINATION_H
#define DEEPSHARD_PASSES_PLANNER_ELIMINATION_H

#include "passes/planner/CostNetwork.h"

namespace deepshard {

class Elimination {
public:
  Elimination(const CostNetwork &network, std::span<const unsigned> kept, size_t mostEntries);

  /// False if a table would be too large.
  bool run();
  /// What is left: costs of the kept variables together.
  std::optional<CostTable> rest() const;
  /// Choices for all variables; none may be kept.
  CostNetwork::Solution solution() const;

private:
  using Id = CostStore::Id;

  /// Costs over some variables, ascending; none once they are part of another table.
  struct Scoped {
    std::vector<unsigned> variables;
    Id costs = 0;
  };
  /// What was done to a variable. `found` lies in the store.
  struct Step {
    unsigned variable;
    std::vector<unsigned> scope;
    const CostStore::Eliminated *found;
  };

  void dropDominated();
  Id undominated(unsigned variable) const;
  bool isDominated(unsigned variable, unsigned choice, unsigned other) const;
  void makeTables();
  void addTable(Scoped table);
  std::vector<size_t> liveTablesOf(unsigned variable) const;
  size_t sizeOf(unsigned variable) const { return store.set(alive[variable]).size(); }
  size_t entriesWithout(unsigned variable) const;
  bool eliminate(unsigned variable);
  CostStore::Eliminated eliminated(unsigned variable, const std::vector<unsigned> &scope,
                                   const std::vector<size_t> &parts) const;
  CostArray combine(const std::vector<unsigned> &scope, const std::vector<size_t> &parts) const;

  const CostNetwork &network;
  CostStore &store;
  std::vector<unsigned> kept;
  size_t mostEntries;
  std::vector<bool> isKept;
  std::vector<Id> alive; // per variable the set of choices that are left
  std::vector<Scoped> tables;
  std::vector<std::vector<size_t>> tablesOf;     // per variable, ascending; also consumed ones
  std::vector<std::vector<unsigned>> neighbours; // ascending
  std::vector<Step> steps;
  Cost base; // taken from the tables
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLANNER_ELIMINATION_H
