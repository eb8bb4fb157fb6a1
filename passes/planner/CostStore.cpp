//===- CostStore.cpp - tables of costs, each stored once --------------------------------------===//

#include "passes/planner/CostStore.h"

#include <algorithm>
#include <cassert>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace deepshard {

template <typename T> static size_t hashOf(const std::vector<T> &values, size_t seed = 0) {
  return XXH3_64bits_withSeed(values.data(), values.size() * sizeof(T), seed);
}

size_t SignatureHash::operator()(const Signature &signature) const { return hashOf(signature); }

CostStore::Id CostStore::intern(CostArray array) {
  const size_t hash = hashOf(array.costs, hashOf(array.sizes));
  auto [begin, end] = idsByHash.equal_range(hash);
  for (auto it = begin; it != end; ++it)
    if (arrays[it->second] == array)
      return it->second;
  const Id id = static_cast<Id>(arrays.size());
  arrays.push_back(std::move(array));
  idsByHash.emplace(hash, id);
  return id;
}

CostStore::Id CostStore::internSet(std::vector<unsigned> set) {
  auto [it, isNew] = setIds.try_emplace(Signature(set.begin(), set.end()), sets.size());
  if (isNew)
    sets.push_back(std::move(set));
  return it->second;
}

CostStore::Id CostStore::sum(Id a, Id b) {
  auto [it, isNew] = sums.try_emplace({std::min(a, b), std::max(a, b)}, 0);
  if (isNew) {
    assert(arrays[a].sizes == arrays[b].sizes);
    CostArray result = arrays[a];
    for (size_t i = 0; i < result.costs.size(); ++i)
      result.costs[i] = addCosts(result.costs[i], arrays[b].costs[i]);
    it->second = intern(std::move(result));
  }
  return it->second;
}

CostStore::Id CostStore::transposed(Id id) {
  auto [it, isNew] = transposes.try_emplace({id}, 0);
  if (isNew) {
    const size_t rows = arrays[id].sizes[0], columns = arrays[id].sizes[1];
    CostArray result{{arrays[id].sizes[1], arrays[id].sizes[0]}, {}};
    result.costs.reserve(rows * columns);
    for (size_t column = 0; column < columns; ++column)
      for (size_t row = 0; row < rows; ++row)
        result.costs.push_back(arrays[id].costs[row * columns + column]);
    it->second = intern(std::move(result));
  }
  return it->second;
}

CostStore::Id CostStore::restricted(Id id, std::span<const Id> setIds) {
  Signature signature{id};
  signature.insert(signature.end(), setIds.begin(), setIds.end());
  auto [it, isNew] = restrictions.try_emplace(std::move(signature), 0);
  if (!isNew)
    return it->second;
  const std::vector<unsigned> one{0};
  const std::vector<unsigned> &rows = sets[setIds[0]];
  const std::vector<unsigned> &columns = setIds.size() == 2 ? sets[setIds[1]] : one;
  const size_t width = setIds.size() == 2 ? arrays[id].sizes[1] : 1;
  CostArray result;
  for (Id set : setIds)
    if (sets[set].size() > 1)
      result.sizes.push_back(static_cast<unsigned>(sets[set].size()));
  for (unsigned row : rows)
    for (unsigned column : columns)
      result.costs.push_back(arrays[id].costs[row * width + column]);
  return it->second = intern(std::move(result));
}

} // namespace deepshard
