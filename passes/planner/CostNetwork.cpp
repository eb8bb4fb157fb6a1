//===- CostNetwork.cpp - choices with costs, and the cheapest of all combinations -------------===//

#include "passes/planner/CostNetwork.h"

#include <algorithm>
#include <cassert>
#include <numeric>
#include <set>

namespace deepshard {

unsigned CostNetwork::addVariable(unsigned choices) {
  assert(choices > 0 && "a variable without choices");
  domains.emplace_back(choices, 0);
  pairsOf.emplace_back();
  return static_cast<unsigned>(domains.size() - 1);
}

void CostNetwork::add(unsigned variable, std::span<const Cost> costs) {
  assert(costs.size() == domains[variable].size());
  for (size_t i = 0; i < costs.size(); ++i)
    domains[variable][i] = addCosts(domains[variable][i], costs[i]);
}

void CostNetwork::add(unsigned a, unsigned b, std::span<const Cost> costs) {
  const size_t rows = domains[a].size(), columns = domains[b].size();
  assert(a != b && costs.size() == rows * columns);
  auto known = std::find_if(pairsOf[a].begin(), pairsOf[a].end(), [&](size_t index) {
    return pairs[index].a == b || pairs[index].b == b;
  });
  if (known == pairsOf[a].end()) {
    for (unsigned variable : {a, b})
      pairsOf[variable].push_back(pairs.size());
    pairs.push_back({std::min(a, b), std::max(a, b), std::vector<Cost>(costs.size(), 0)});
    known = std::prev(pairsOf[a].end());
  }
  Pair &pair = pairs[*known];
  for (size_t row = 0; row < rows; ++row)
    for (size_t column = 0; column < columns; ++column) {
      Cost &entry = pair.costs[a < b ? row * columns + column : column * rows + row];
      entry = addCosts(entry, costs[row * columns + column]);
    }
}

Cost CostNetwork::costOf(std::span<const unsigned> choices) const {
  Cost cost = 0;
  for (size_t variable = 0; variable < choices.size(); ++variable)
    cost = addCosts(cost, domains[variable][choices[variable]]);
  for (const Pair &pair : pairs)
    if (pair.b < choices.size())
      cost = addCosts(cost, pair.costs[choices[pair.a] * domains[pair.b].size() + choices[pair.b]]);
  return cost;
}

/// The work on a copy: `alive` are the choices that are left, by their index in the network.
class CostNetwork::Elimination {
public:
  Elimination(const CostNetwork &network, std::span<const unsigned> kept, size_t mostEntries)
      : network(network), mostEntries(mostEntries), isKept(network.variables(), false) {
    for (unsigned variable : kept)
      isKept[variable] = true;
    for (const std::vector<Cost> &domain : network.domains) {
      alive.emplace_back(domain.size());
      std::iota(alive.back().begin(), alive.back().end(), 0U);
    }
  }

  /// False if a table would be too large.
  bool run();
  /// What is left: costs of the kept variables together.
  std::optional<CostTable> rest(std::span<const unsigned> kept) const;
  Solution solution() const;

private:
  /// Choice `choice` of `variable` is never better than `other`.
  bool isDominated(unsigned variable, unsigned choice, unsigned other) const;
  void dropDominated();
  void makeTables();
  size_t entriesWithout(unsigned variable) const;
  bool eliminate(unsigned variable);
  CostTable combine(std::vector<unsigned> scope, const std::vector<const CostTable *> &parts) const;

  /// What was done to a variable: per combination of its neighbours the best choice.
  struct Step {
    unsigned variable;
    CostTable scope; // without costs
    std::vector<uint32_t> best;
  };

  const CostNetwork &network;
  size_t mostEntries;
  std::vector<bool> isKept;
  std::vector<std::vector<unsigned>> alive;
  std::vector<CostTable> tables;             // those consumed are empty
  std::vector<std::vector<size_t>> tablesOf; // per variable
  std::vector<std::set<unsigned>> neighbours;
  std::vector<Step> steps;
};

bool CostNetwork::Elimination::isDominated(unsigned variable, unsigned choice,
                                           unsigned other) const {
  const std::vector<Cost> &own = network.domains[variable];
  if (own[choice] >= kForbidden)
    return true;
  Cost gain = own[choice] - own[other]; // of taking the other, at least
  for (size_t index : network.pairsOf[variable]) {
    if (gain < -kForbidden)
      return false;
    const Pair &pair = network.pairs[index];
    const bool isFirst = pair.a == variable;
    const unsigned neighbour = isFirst ? pair.b : pair.a;
    const size_t columns = network.domains[pair.b].size();
    auto at = [&](unsigned mine, unsigned theirs) {
      return pair.costs[isFirst ? mine * columns + theirs : theirs * columns + mine];
    };
    Cost least = kForbidden;
    for (unsigned theirs : alive[neighbour]) {
      const Cost with = at(choice, theirs);
      if (with < kForbidden) // else this choice is out of the question beside theirs
        least = std::min(least, with - at(other, theirs));
    }
    if (least == kForbidden) // beside none of theirs
      return true;
    gain += least;
  }
  return gain >= 0;
}

/// Ties: the first of equal choices stays.
void CostNetwork::Elimination::dropDominated() {
  bool hasChanged = true;
  while (hasChanged) {
    hasChanged = false;
    for (unsigned variable = 0; variable < alive.size(); ++variable) {
      if (isKept[variable])
        continue;
      std::vector<unsigned> &choices = alive[variable];
      for (size_t i = choices.size(); i-- > 0 && choices.size() > 1;) {
        const unsigned choice = choices[i];
        const bool isOut = std::any_of(choices.begin(), choices.end(), [&](unsigned other) {
          return other != choice && isDominated(variable, choice, other);
        });
        if (isOut) {
          choices.erase(choices.begin() + static_cast<std::ptrdiff_t>(i));
          hasChanged = true;
        }
      }
    }
  }
}

/// Tables of what is alive.
void CostNetwork::Elimination::makeTables() {
  tablesOf.resize(alive.size());
  neighbours.resize(alive.size());
  auto addTable = [&](CostTable table) {
    for (unsigned variable : table.variables)
      tablesOf[variable].push_back(tables.size());
    tables.push_back(std::move(table));
  };
  for (unsigned variable = 0; variable < alive.size(); ++variable) {
    CostTable table{{variable}, {static_cast<unsigned>(alive[variable].size())}, {}};
    for (unsigned choice : alive[variable])
      table.costs.push_back(network.domains[variable][choice]);
    addTable(std::move(table));
  }
  for (const Pair &pair : network.pairs) {
    CostTable table{
        {pair.a, pair.b},
        {static_cast<unsigned>(alive[pair.a].size()), static_cast<unsigned>(alive[pair.b].size())},
        {}};
    for (unsigned a : alive[pair.a])
      for (unsigned b : alive[pair.b])
        table.costs.push_back(pair.costs[a * network.domains[pair.b].size() + b]);
    addTable(std::move(table));
    neighbours[pair.a].insert(pair.b);
    neighbours[pair.b].insert(pair.a);
  }
}

/// Entries of the work on a variable: its choices times those of its neighbours.
size_t CostNetwork::Elimination::entriesWithout(unsigned variable) const {
  size_t entries = alive[variable].size();
  for (unsigned neighbour : neighbours[variable]) {
    if (entries > mostEntries)
      break;
    entries *= alive[neighbour].size();
  }
  return entries;
}

/// Adds up `parts`, whose variables lie in `scope`.
CostTable CostNetwork::Elimination::combine(std::vector<unsigned> scope,
                                            const std::vector<const CostTable *> &parts) const {
  CostTable result{std::move(scope), {}, {}};
  size_t entries = 1;
  for (unsigned variable : result.variables) {
    result.sizes.push_back(static_cast<unsigned>(alive[variable].size()));
    entries *= alive[variable].size();
  }
  result.costs.assign(entries, 0);
  for (const CostTable *part : parts) {
    // How far the entry of the part moves with each variable of the scope.
    std::vector<size_t> strides(result.variables.size(), 0);
    size_t stride = 1;
    for (size_t i = part->variables.size(); i-- > 0;) {
      auto at =
          std::lower_bound(result.variables.begin(), result.variables.end(), part->variables[i]);
      strides[static_cast<size_t>(at - result.variables.begin())] = stride;
      stride *= part->sizes[i];
    }
    std::vector<unsigned> digits(result.variables.size(), 0);
    size_t from = 0;
    for (Cost &cost : result.costs) {
      cost = addCosts(cost, part->costs[from]);
      for (size_t i = digits.size(); i-- > 0;) {
        from += strides[i];
        if (++digits[i] < result.sizes[i])
          break;
        from -= strides[i] * result.sizes[i];
        digits[i] = 0;
      }
    }
  }
  return result;
}

/// The variable becomes the last of the combined table, so that its choices lie together.
bool CostNetwork::Elimination::eliminate(unsigned variable) {
  if (entriesWithout(variable) > mostEntries)
    return false;
  std::vector<unsigned> scope(neighbours[variable].begin(), neighbours[variable].end());
  std::vector<const CostTable *> parts;
  for (size_t index : tablesOf[variable])
    parts.push_back(&tables[index]);
  std::vector<unsigned> withOwn = scope;
  withOwn.insert(std::lower_bound(withOwn.begin(), withOwn.end(), variable), variable);
  const CostTable sums = combine(withOwn, parts);

  Step step{variable, {scope, {}, {}}, {}};
  size_t inner = 1; // entries per choice of the variable
  for (size_t i = withOwn.size(); i-- > 0 && withOwn[i] != variable;)
    inner *= sums.sizes[i];
  const size_t own = alive[variable].size();
  const size_t outer = sums.costs.size() / (own * inner);
  CostTable message{scope, {}, {}};
  for (unsigned neighbour : scope)
    message.sizes.push_back(static_cast<unsigned>(alive[neighbour].size()));
  message.costs.reserve(outer * inner);
  step.best.reserve(outer * inner);
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
      message.costs.push_back(least);
      step.best.push_back(best);
    }
  step.scope.sizes = message.sizes;
  steps.push_back(std::move(step));

  for (size_t index : std::vector<size_t>(tablesOf[variable])) {
    for (unsigned other : tables[index].variables)
      std::erase(tablesOf[other], index);
    tables[index] = {};
  }
  for (unsigned neighbour : scope) {
    neighbours[neighbour].erase(variable);
    for (unsigned other : scope)
      if (other != neighbour)
        neighbours[neighbour].insert(other);
    tablesOf[neighbour].push_back(tables.size());
  }
  neighbours[variable].clear();
  tables.push_back(std::move(message));
  return true;
}

bool CostNetwork::Elimination::run() {
  dropDominated();
  makeTables();
  // Ordered by the work on them; that of the neighbours changes when a variable goes.
  std::set<std::pair<size_t, unsigned>> order;
  std::vector<size_t> work(alive.size(), 0);
  for (unsigned variable = 0; variable < alive.size(); ++variable)
    if (!isKept[variable])
      order.emplace(work[variable] = entriesWithout(variable), variable);
  while (!order.empty()) {
    const unsigned variable = order.begin()->second;
    order.erase(order.begin());
    const std::set<unsigned> touched = neighbours[variable];
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

std::optional<CostTable> CostNetwork::Elimination::rest(std::span<const unsigned> kept) const {
  size_t entries = 1;
  for (unsigned variable : kept) {
    entries *= alive[variable].size();
    if (entries > mostEntries)
      return std::nullopt;
  }
  std::vector<const CostTable *> parts;
  for (const CostTable &table : tables)
    if (!table.costs.empty())
      parts.push_back(&table);
  return combine({kept.begin(), kept.end()}, parts);
}

CostNetwork::Solution CostNetwork::Elimination::solution() const {
  Solution result;
  std::vector<unsigned> places(alive.size(), 0); // in alive
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    size_t entry = 0;
    for (size_t i = 0; i < step->scope.variables.size(); ++i)
      entry = entry * step->scope.sizes[i] + places[step->scope.variables[i]];
    places[step->variable] = step->best[entry];
  }
  for (unsigned variable = 0; variable < alive.size(); ++variable)
    result.choices.push_back(alive[variable][places[variable]]);
  result.cost = network.costOf(result.choices);
  return result;
}

std::optional<CostNetwork::Solution> CostNetwork::minimize(size_t mostEntries) const {
  Elimination elimination(*this, {}, mostEntries);
  if (!elimination.run())
    return std::nullopt;
  return elimination.solution();
}

std::optional<CostTable> CostNetwork::project(std::span<const unsigned> kept,
                                              size_t mostEntries) const {
  assert(std::is_sorted(kept.begin(), kept.end()));
  Elimination elimination(*this, kept, mostEntries);
  if (!elimination.run())
    return std::nullopt;
  return elimination.rest(kept);
}

} // namespace deepshard
