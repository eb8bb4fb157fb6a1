//===- MinimumCut.cpp - the cheapest way to separate two nodes of a graph ---------------------===//
//
// Dinic's algorithm: as long as the sink can be reached through edges with room, flow is pushed
// along shortest paths until each has a full edge. The cut are the edges that leave what can then
// be reached (Dinitz, Soviet Mathematics Doklady 11, 1970).
//
//===------------------------------------------------------------------------------------------===//

#include "passes/planner/MinimumCut.h"

#include <algorithm>

namespace deepshard {

namespace {
constexpr size_t kNowhere = SIZE_MAX;
} // namespace

size_t FlowNetwork::addNode() {
  edgesOf.emplace_back();
  return edgesOf.size() - 1;
}

void FlowNetwork::addEdge(size_t from, size_t to, Capacity capacity) {
  if (capacity == 0)
    return;
  edgesOf[from].push_back(edges.size());
  edges.push_back({to, capacity});
  edgesOf[to].push_back(edges.size());
  edges.push_back({from, 0});
}

/// Counts the edges from the source to each node; false if the sink cannot be reached.
bool FlowNetwork::findLevels() {
  levels.assign(edgesOf.size(), kNowhere);
  std::vector<size_t> queue{kSource};
  levels[kSource] = 0;
  for (size_t head = 0; head < queue.size(); ++head)
    for (size_t index : edgesOf[queue[head]])
      if (const Edge &edge = edges[index]; edge.room > 0 && levels[edge.to] == kNowhere) {
        levels[edge.to] = levels[queue[head]] + 1;
        queue.push_back(edge.to);
      }
  return levels[kSink] != kNowhere;
}

/// Pushes up to `most` from `node` to the sink, level by level; returns how much arrived.
Capacity FlowNetwork::push(size_t node, Capacity most) {
  if (node == kSink)
    return most;
  Capacity pushed = 0;
  for (; next[node] < edgesOf[node].size(); ++next[node]) {
    const size_t index = edgesOf[node][next[node]];
    if (edges[index].room == 0 || levels[edges[index].to] != levels[node] + 1)
      continue;
    const Capacity arrived =
        push(edges[index].to, std::min<Capacity>(most - pushed, edges[index].room));
    edges[index].room -= arrived;
    edges[index ^ 1].room = addCapacities(edges[index ^ 1].room, arrived);
    pushed += arrived;
    if (pushed == most) // the edge may have room left
      return pushed;
  }
  return pushed;
}

FlowNetwork::Cut FlowNetwork::minimize() {
  Cut cut{0, {}};
  while (findLevels()) {
    next.assign(edgesOf.size(), 0);
    cut.cost = addCapacities(cut.cost, push(kSource, kUncut));
  }
  for (size_t level : levels)
    cut.isSource.push_back(level != kNowhere);
  return cut;
}

} // namespace deepshard
