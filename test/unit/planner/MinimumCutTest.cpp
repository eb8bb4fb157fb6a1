//===- MinimumCutTest.cpp - the cheapest cut against all of them ------------------------------===//

#include "passes/planner/MinimumCut.h"

#include <gtest/gtest.h>

#include <random>
#include <utility>

using namespace deepshard;

namespace {

struct Edge {
  size_t from, to;
  Capacity capacity;
};

Capacity costOf(const std::vector<Edge> &edges, unsigned sources) {
  Capacity cost = 0;
  for (auto [from, to, capacity] : edges)
    if ((sources >> from & 1) != 0 && (sources >> to & 1) == 0)
      cost = addCapacities(cost, capacity);
  return cost;
}

/// Capacity and number of nodes on the side of the source of the best of all cuts.
std::pair<Capacity, int> bestOf(const std::vector<Edge> &edges, size_t nodes) {
  std::pair<Capacity, int> best{INT64_MAX, 0};
  for (unsigned sources = 0; sources < 1U << nodes; ++sources)
    if ((sources >> FlowNetwork::kSource & 1) != 0 && (sources >> FlowNetwork::kSink & 1) == 0)
      best = std::min(best, {costOf(edges, sources), __builtin_popcount(sources)});
  return best;
}

TEST(MinimumCutTest, IsTheBestOfAllCuts) {
  std::mt19937 random(1);
  for (int trial = 0; trial < 2000; ++trial) {
    FlowNetwork network;
    size_t nodes = 2;
    for (unsigned more = random() % 7; more > 0; --more)
      nodes = network.addNode() + 1;
    std::vector<Edge> edges;
    for (unsigned count = random() % (3 * nodes); count > 0; --count) {
      edges.push_back({random() % nodes, random() % nodes,
                       random() % 8 == 0 ? kUncut : static_cast<Capacity>(random() % 6)});
      network.addEdge(edges.back().from, edges.back().to, edges.back().capacity);
    }
    const FlowNetwork::Cut cut = network.minimize();
    ASSERT_EQ(cut.isSource.size(), nodes);
    unsigned sources = 0;
    for (size_t node = 0; node < nodes; ++node)
      sources |= static_cast<unsigned>(cut.isSource[node]) << node;
    const auto [cost, count] = bestOf(edges, nodes);
    EXPECT_EQ(cut.cost, cost) << "trial " << trial;
    if (cost < kUncut) {
      EXPECT_EQ(costOf(edges, sources), cost) << "trial " << trial;
      EXPECT_EQ(__builtin_popcount(sources), count) << "trial " << trial;
    }
  }
}

} // namespace
