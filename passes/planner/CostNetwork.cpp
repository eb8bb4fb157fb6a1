//===- CostNetwork.cpp - choices with costs, and the cheapest of all combinations -------------===//

#include "passes/planner/CostNetwork.h"

#include "passes/planner/Elimination.h"

#include <algorithm>
#include <cassert>

namespace deepshard {

unsigned CostNetwork::addVariable(unsigned choices) {
  assert(choices > 0 && "a variable without choices");
  domains.push_back({choices, table(std::vector<Cost>(choices)), {}});
  return static_cast<unsigned>(domains.size() - 1);
}

CostStore::Id CostNetwork::table(std::vector<Cost> costs) {
  const auto choices = static_cast<unsigned>(costs.size());
  return tables->intern({{choices}, std::move(costs)});
}

CostStore::Id CostNetwork::table(unsigned rows, unsigned columns, std::vector<Cost> costs) {
  assert(costs.size() == size_t{rows} * columns);
  return tables->intern({{rows, columns}, std::move(costs)});
}

void CostNetwork::add(unsigned variable, CostStore::Id costs) {
  domains[variable].costs = tables->sum(domains[variable].costs, costs);
}

void CostNetwork::add(unsigned a, unsigned b, CostStore::Id costs) {
  assert(a != b && (*tables)[costs].sizes == std::vector<unsigned>({choices(a), choices(b)}));
  if (a > b) {
    std::swap(a, b);
    costs = tables->transposed(costs);
  }
  auto [it, isNew] = pairIndex.try_emplace(uint64_t{a} << 32 | b, pairs.size());
  if (!isNew) {
    pairs[it->second].costs = tables->sum(pairs[it->second].costs, costs);
    return;
  }
  domains[a].pairs.push_back(pairs.size());
  domains[b].pairs.push_back(pairs.size());
  pairs.push_back({a, b, costs});
}

void CostNetwork::addDiagonal(unsigned variable, CostStore::Id costs) {
  std::vector<Cost> diagonal;
  for (size_t choice = 0; choice < choices(variable); ++choice)
    diagonal.push_back((*tables)[costs].costs[choice * (choices(variable) + 1)]);
  add(variable, std::move(diagonal));
}

Cost CostNetwork::costAt(unsigned variable, std::span<const unsigned> choices) const {
  const Domain &domain = domains[variable];
  Cost cost = (*tables)[domain.costs].costs[choices[variable]];
  for (size_t index : domain.pairs) {
    const Pair &pair = pairs[index];
    const size_t entry = size_t{choices[pair.a]} * domains[pair.b].choices + choices[pair.b];
    cost = addCosts(cost, (*tables)[pair.costs].costs[entry]);
  }
  return cost;
}

Cost CostNetwork::costOf(std::span<const unsigned> choices) const {
  Cost cost;
  for (size_t variable = 0; variable < choices.size(); ++variable)
    cost = addCosts(cost, (*tables)[domains[variable].costs].costs[choices[variable]]);
  for (const Pair &pair : pairs)
    if (pair.b < choices.size())
      cost = addCosts(
          cost,
          (*tables)[pair.costs].costs[choices[pair.a] * domains[pair.b].choices + choices[pair.b]]);
  return cost;
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
  return elimination.rest();
}

} // namespace deepshard
