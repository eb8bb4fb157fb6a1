//===- Elimination.cpp - the minimum of a cost network, variable by variable ------------------===//

#include "passes/planner/Elimination.h"

#include <algorithm>
#include <numeric>
#include <set>

namespace deepshard {

Elimination::Elimination(const CostNetwork &network, std::span<const unsigned> kept,
                         size_t mostEntries)
    : network(network), store(*network.tables), kept(kept.begin(), kept.end()),
      mostEntries(mostEntries), isKept(network.variables(), false) {
  for (unsigned variable : kept)
    isKept[variable] = true;
  std::vector<std::optional<Id>> all; // by size
  for (const CostNetwork::Domain &domain : network.domains) {
    if (domain.choices >= all.size())
      all.resize(domain.choices + 1);
    std::optional<Id> &set = all[domain.choices];
    if (!set) {
      std::vector<unsigned> choices(domain.choices);
      std::iota(choices.begin(), choices.end(), 0U);
      set = store.internSet(std::move(choices));
    }
    alive.push_back(*set);
  }
}

//===------------------------------------------------------------------------------------------===//
// Choices that are never best
//===------------------------------------------------------------------------------------------===//

/// Choice `choice` of `variable` is never better than `other`.
bool Elimination::isDominated(unsigned variable, unsigned choice, unsigned other) const {
  const CostNetwork::Domain &domain = network.domains[variable];
  const std::vector<Cost> &own = store[domain.costs].costs;
  if (own[choice] >= kForbidden)
    return true;
  Cost gain = own[choice] - own[other]; // of taking the other, at least
  for (size_t index : domain.pairs) {
    if (gain.traffic < -kForbidden.traffic)
      return false;
    const CostNetwork::Pair &pair = network.pairs[index];
    const bool isFirst = pair.a == variable;
    const size_t columns = network.choices(pair.b);
    const std::vector<Cost> &costs = store[pair.costs].costs;
    auto at = [&](unsigned mine, unsigned theirs) {
      return costs[isFirst ? mine * columns + theirs : theirs * columns + mine];
    };
    Cost least = kForbidden;
    for (unsigned theirs : store.set(alive[isFirst ? pair.b : pair.a])) {
      const Cost with = at(choice, theirs);
      if (with < kForbidden) // else this choice is out of the question beside theirs
        least = std::min(least, with - at(other, theirs));
    }
    if (least == kForbidden) // beside none of theirs
      return true;
    gain += least;
  }
  return gain >= Cost();
}

/// The choices of a variable without those that are dominated. Ties: the first of equal choices
/// stays.
Elimination::Id Elimination::undominated(unsigned variable) const {
  std::vector<unsigned> choices = store.set(alive[variable]);
  for (size_t i = choices.size(); i-- > 0 && choices.size() > 1;) {
    const unsigned choice = choices[i];
    const bool isOut = std::any_of(choices.begin(), choices.end(), [&](unsigned other) {
      return other != choice && isDominated(variable, choice, other);
    });
    if (isOut)
      choices.erase(choices.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return store.internSet(std::move(choices));
}

void Elimination::dropDominated() {
  std::vector<unsigned> changed(network.variables());
  std::iota(changed.begin(), changed.end(), 0U);
  std::vector<bool> isPending(network.variables(), true);
  while (!changed.empty()) {
    std::vector<unsigned> next;
    for (unsigned variable : changed) {
      isPending[variable] = false;
      if (isKept[variable] || sizeOf(variable) == 1)
        continue;
      const CostNetwork::Domain &domain = network.domains[variable];
      Signature signature{domain.costs, alive[variable]};
      for (size_t index : domain.pairs) {
        const CostNetwork::Pair &pair = network.pairs[index];
        const bool isFirst = pair.a == variable;
        signature.insert(signature.end(), {pair.costs, isFirst, alive[isFirst ? pair.b : pair.a]});
      }
      auto [known, isNew] = store.undominated.try_emplace(std::move(signature), 0);
      if (isNew)
        known->second = undominated(variable);
      if (known->second == alive[variable])
        continue;
      alive[variable] = known->second;
      for (size_t index : domain.pairs) {
        const CostNetwork::Pair &pair = network.pairs[index];
        for (unsigned neighbour : {pair.a, pair.b})
          if (!isPending[neighbour]) {
            isPending[neighbour] = true;
            next.push_back(neighbour);
          }
      }
    }
    std::sort(next.begin(), next.end());
    changed = std::move(next);
  }
}

//===------------------------------------------------------------------------------------------===//
// Tables
//===------------------------------------------------------------------------------------------===//

void Elimination::addTable(Scoped table) {
  for (unsigned variable : table.variables)
    tablesOf[variable].push_back(tables.size());
  tables.push_back(std::move(table));
}

std::vector<size_t> Elimination::liveTablesOf(unsigned variable) const {
  std::vector<size_t> live;
  std::copy_if(tablesOf[variable].begin(), tablesOf[variable].end(), std::back_inserter(live),
               [&](size_t table) { return !tables[table].variables.empty(); });
  return live;
}

/// Tables of what is alive. A variable with one choice left is in none of them: what it is
/// connected to is not connected by it.
void Elimination::makeTables() {
  tablesOf.resize(alive.size());
  neighbours.resize(alive.size());
  auto add = [&](std::initializer_list<unsigned> variables, Id costs) {
    Scoped table;
    std::vector<Id> sets;
    for (unsigned variable : variables) {
      sets.push_back(alive[variable]);
      if (sizeOf(variable) > 1)
        table.variables.push_back(variable);
    }
    table.costs = store.restricted(costs, sets);
    if (table.variables.empty())
      base = addCosts(base, store[table.costs].costs.front());
    else
      addTable(std::move(table));
  };
  for (unsigned variable = 0; variable < alive.size(); ++variable)
    add({variable}, network.domains[variable].costs);
  for (const CostNetwork::Pair &pair : network.pairs) {
    add({pair.a, pair.b}, pair.costs);
    if (sizeOf(pair.a) > 1 && sizeOf(pair.b) > 1) {
      neighbours[pair.a].push_back(pair.b);
      neighbours[pair.b].push_back(pair.a);
    }
  }
  for (std::vector<unsigned> &list : neighbours)
    std::sort(list.begin(), list.end());
}

/// Entries of the work on a variable: its choices times those of its neighbours.
size_t Elimination::entriesWithout(unsigned variable) const {
  size_t entries = sizeOf(variable);
  for (unsigned neighbour : neighbours[variable]) {
    if (entries > mostEntries)
      break;
    entries *= sizeOf(neighbour);
  }
  return entries;
}

/// Adds up some tables, whose variables lie in `scope`.
CostArray Elimination::combine(const std::vector<unsigned> &scope,
                               const std::vector<size_t> &parts) const {
  CostArray result;
  size_t entries = 1;
  for (unsigned variable : scope) {
    result.sizes.push_back(static_cast<unsigned>(sizeOf(variable)));
    entries *= result.sizes.back();
  }
  result.costs.assign(entries, Cost());
  for (size_t part : parts) {
    const CostArray &from = store[tables[part].costs];
    // How far the entry of the part moves with each variable of the scope.
    std::vector<size_t> strides(scope.size(), 0);
    size_t stride = 1;
    for (size_t i = from.sizes.size(); i-- > 0;) {
      auto at = std::lower_bound(scope.begin(), scope.end(), tables[part].variables[i]);
      strides[static_cast<size_t>(at - scope.begin())] = stride;
      stride *= from.sizes[i];
    }
    std::vector<unsigned> digits(scope.size(), 0);
    size_t entry = 0;
    for (Cost &cost : result.costs) {
      cost = addCosts(cost, from.costs[entry]);
      for (size_t i = digits.size(); i-- > 0;) {
        entry += strides[i];
        if (++digits[i] < result.sizes[i])
          break;
        entry -= strides[i] * result.sizes[i];
        digits[i] = 0;
      }
    }
  }
  return result;
}

//===------------------------------------------------------------------------------------------===//
// Elimination
//===------------------------------------------------------------------------------------------===//

static std::vector<unsigned> with(std::vector<unsigned> ascending, unsigned variable) {
  ascending.insert(std::lower_bound(ascending.begin(), ascending.end(), variable), variable);
  return ascending;
}

CostStore::Eliminated Elimination::eliminated(unsigned variable, const std::vector<unsigned> &scope,
                                              const std::vector<size_t> &parts) const {
  const std::vector<unsigned> withOwn = with(scope, variable);
  const CostArray sums = combine(withOwn, parts);
  size_t inner = 1; // entries per choice of the variable
  for (size_t i = withOwn.size(); i-- > 0 && withOwn[i] != variable;)
    inner *= sums.sizes[i];
  const size_t own = sizeOf(variable);
  const size_t outer = sums.costs.size() / (own * inner);
  CostArray left;
  for (unsigned neighbour : scope)
    left.sizes.push_back(static_cast<unsigned>(sizeOf(neighbour)));
  left.costs.reserve(outer * inner);
  CostStore::Eliminated result{0, kForbidden, {}};
  result.best.reserve(outer * inner);
  for (size_t o = 0; o < outer; ++o)
    for (size_t i = 0; i < inner; ++i) {
      uint32_t best = 0;
      Cost least = sums.costs[o * own * inner + i];
      for (uint32_t choice = 1; choice < own; ++choice) {
        const Cost cost = sums.costs[(o * own + choice) * inner + i];
        if (cost < least) {
          least = cost;
          best = choice;
        }
      }
      left.costs.push_back(least);
      result.best.push_back(best);
      result.least = std::min(result.least, least);
    }
  if (result.least < kForbidden)
    for (Cost &cost : left.costs)
      if (cost < kForbidden)
        cost -= result.least;
  result.costs = store.intern(std::move(left));
  return result;
}

bool Elimination::eliminate(unsigned variable) {
  if (entriesWithout(variable) > mostEntries)
    return false;
  const std::vector<unsigned> scope = neighbours[variable];
  const std::vector<size_t> parts = liveTablesOf(variable);
  const std::vector<unsigned> withOwn = with(scope, variable);

  // Which tables, and over which places of the scope.
  Signature signature;
  auto placeOf = [&](unsigned other) {
    return static_cast<uint32_t>(std::lower_bound(withOwn.begin(), withOwn.end(), other) -
                                 withOwn.begin());
  };
  signature.push_back(placeOf(variable));
  for (size_t part : parts) {
    signature.push_back(tables[part].costs);
    for (unsigned other : tables[part].variables)
      signature.push_back(placeOf(other));
  }
  auto [known, isNew] = store.eliminations.try_emplace(std::move(signature));
  if (isNew)
    known->second = eliminated(variable, scope, parts);
  const CostStore::Eliminated &found = known->second; // the map keeps it in its place
  steps.push_back({variable, scope, &found});
  base = addCosts(base, found.least);

  for (size_t part : parts)
    tables[part] = {};
  for (unsigned neighbour : scope) {
    std::vector<unsigned> &list = neighbours[neighbour];
    std::erase(list, variable);
    std::vector<unsigned> merged;
    std::set_union(list.begin(), list.end(), scope.begin(), scope.end(),
                   std::back_inserter(merged));
    std::erase(merged, neighbour);
    list = std::move(merged);
  }
  neighbours[variable].clear();
  addTable({scope, found.costs});
  return true;
}

bool Elimination::run() {
  dropDominated();
  makeTables();
  // Ordered by the work on them; that of the neighbours changes when a variable goes.
  std::set<std::pair<size_t, unsigned>> order;
  std::vector<size_t> work(alive.size(), 0);
  for (unsigned variable = 0; variable < alive.size(); ++variable)
    if (!isKept[variable] && sizeOf(variable) > 1)
      order.emplace(work[variable] = entriesWithout(variable), variable);
  while (!order.empty()) {
    const unsigned variable = order.begin()->second;
    order.erase(order.begin());
    const std::vector<unsigned> touched = neighbours[variable];
    if (!eliminate(variable))
      return false;
    for (unsigned neighbour : touched)
      if (!isKept[neighbour]) {
        order.erase({work[neighbour], neighbour});
        order.emplace(work[neighbour] = entriesWithout(neighbour), neighbour);
      }
  }
  return true;
}

std::optional<CostTable> Elimination::rest() const {
  size_t entries = 1;
  std::set<size_t> parts;
  for (unsigned variable : kept) {
    entries *= sizeOf(variable);
    if (entries > mostEntries)
      return std::nullopt;
    const std::vector<size_t> live = liveTablesOf(variable);
    parts.insert(live.begin(), live.end());
  }
  CostArray sums = combine(kept, {parts.begin(), parts.end()});
  for (Cost &cost : sums.costs)
    cost = addCosts(cost, base);
  return CostTable{kept, std::move(sums.sizes), std::move(sums.costs)};
}

CostNetwork::Solution Elimination::solution() const {
  std::vector<unsigned> places(alive.size(), 0); // in alive
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    size_t entry = 0;
    for (unsigned neighbour : step->scope)
      entry = entry * sizeOf(neighbour) + places[neighbour];
    places[step->variable] = step->found->best[entry];
  }
  CostNetwork::Solution result;
  for (unsigned variable = 0; variable < alive.size(); ++variable)
    result.choices.push_back(store.set(alive[variable])[places[variable]]);
  result.cost = network.costOf(result.choices);
  return result;
}

} // namespace deepshard
