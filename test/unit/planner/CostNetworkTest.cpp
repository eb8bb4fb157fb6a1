//===- CostNetworkTest.cpp - the cheapest combination against all of them ---------------------===//

#include "passes/planner/CostNetwork.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

using namespace deepshard;

namespace {

using Random = std::mt19937;

/// Few different costs, so that ties occur, also of the first number alone; some forbidden.
Cost randomCost(Random &random) {
  if (random() % 8 == 0)
    return kForbidden;
  return {static_cast<int64_t>(random() % 6), static_cast<int64_t>(random() % 20)};
}

std::vector<Cost> randomCosts(Random &random, size_t count) {
  std::vector<Cost> costs(count);
  std::generate(costs.begin(), costs.end(), [&] { return randomCost(random); });
  return costs;
}

/// Up to 7 variables with up to 4 choices; any graph, also with parts that are not connected and
/// with pairs that are given twice.
CostNetwork randomNetwork(Random &random) {
  CostNetwork network;
  const unsigned variables = 1 + random() % 7;
  for (unsigned i = 0; i < variables; ++i) {
    network.addVariable(1 + random() % 4);
    if (random() % 4 != 0)
      network.add(i, randomCosts(random, network.choices(i)));
  }
  for (unsigned pairs = random() % 12; pairs > 0 && variables > 1; --pairs) {
    const unsigned a = random() % variables;
    const unsigned b = (a + 1 + random() % (variables - 1)) % variables;
    network.add(a, b, randomCosts(random, size_t{network.choices(a)} * network.choices(b)));
  }
  return network;
}

/// Calls `visit` with every combination.
template <typename Visit> void forEachCombination(const CostNetwork &network, const Visit &visit) {
  std::vector<unsigned> choices(network.variables(), 0);
  while (true) {
    visit(choices);
    size_t i = choices.size();
    while (i > 0 && ++choices[i - 1] == network.choices(static_cast<unsigned>(i - 1)))
      choices[--i] = 0;
    if (i == 0)
      return;
  }
}

TEST(CostNetworkTest, MinimumIsThatOfAllCombinations) {
  Random random(1);
  for (int trial = 0; trial < 2000; ++trial) {
    SCOPED_TRACE(trial);
    const CostNetwork network = randomNetwork(random);
    Cost least = kForbidden;
    forEachCombination(network, [&](const std::vector<unsigned> &choices) {
      least = std::min(least, network.costOf(choices));
    });
    const auto found = network.minimize();
    ASSERT_TRUE(found);
    EXPECT_EQ(found->cost, least);
    EXPECT_EQ(network.costOf(found->choices), found->cost);
  }
}

/// However much of it there is: in floating point, or in one scaled number, bytes would swallow
/// picoseconds, or picoseconds reach bytes.
TEST(CostNetworkTest, TimeBreaksTiesOfTrafficAndNoMore) {
  constexpr int64_t kLarge = int64_t{1} << 59;
  CostNetwork network;
  const unsigned a = network.addVariable(3), b = network.addVariable(2);
  network.add(a, std::vector<Cost>{{kLarge + 1, 0}, {kLarge, kLarge}, {kLarge, kLarge - 1}});
  network.add(b, std::vector<Cost>{{1, 0}, {0, kLarge}});
  const auto found = network.minimize();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->choices, (std::vector<unsigned>{2, 1}));
  EXPECT_EQ(found->cost, (Cost{kLarge, 2 * kLarge - 1}));
}

TEST(CostNetworkTest, ProjectionIsTheMinimumForEachChoiceOfWhatIsKept) {
  Random random(2);
  for (int trial = 0; trial < 1000; ++trial) {
    SCOPED_TRACE(trial);
    const CostNetwork network = randomNetwork(random);
    std::vector<unsigned> kept;
    for (unsigned i = 0; i < network.variables(); ++i)
      if (random() % 3 == 0)
        kept.push_back(i);
    const auto table = network.project(kept);
    ASSERT_TRUE(table);
    ASSERT_EQ(table->variables, kept);
    std::vector<Cost> least(table->costs.size(), kForbidden);
    forEachCombination(network, [&](const std::vector<unsigned> &choices) {
      size_t entry = 0;
      for (unsigned variable : kept)
        entry = entry * network.choices(variable) + choices[variable];
      least[entry] = std::min(least[entry], network.costOf(choices));
    });
    EXPECT_EQ(table->costs, least);
  }
}

/// Widths stay those of a layer however many there are: with 40 choices a variable, 3,000 in a
/// ladder of width 2.
TEST(CostNetworkTest, LaddersTakeLinearWork) {
  Random random(3);
  CostNetwork network;
  constexpr unsigned kRungs = 1500, kChoices = 40;
  const auto connect = [&](unsigned a, unsigned b) {
    network.add(a, b, randomCosts(random, size_t{kChoices} * kChoices));
  };
  for (unsigned rung = 0; rung < kRungs; ++rung) {
    network.addVariable(kChoices);
    network.addVariable(kChoices);
    connect(2 * rung, 2 * rung + 1);
    for (unsigned side : {0U, 1U})
      if (rung > 0)
        connect(2 * rung - 2 + side, 2 * rung + side);
  }
  // Two sides and the rung at hand: 40^3 entries.
  const auto found = network.minimize(size_t{kChoices} * kChoices * kChoices);
  ASSERT_TRUE(found);
  EXPECT_EQ(network.costOf(found->choices), found->cost);
  EXPECT_LT(found->cost, kForbidden);
}

TEST(CostNetworkTest, WhatDoesNotFitIsRefused) {
  Random random(4);
  CostNetwork network;
  for (unsigned i = 0; i < 6; ++i) {
    network.addVariable(10);
    for (unsigned other = 0; other < i; ++other)
      network.add(other, i, randomCosts(random, 100));
  }
  EXPECT_FALSE(network.minimize(100));
}

TEST(CostNetworkTest, NothingAllowedCostsForbidden) {
  CostNetwork network;
  const unsigned a = network.addVariable(2), b = network.addVariable(2);
  network.add(a, std::vector<Cost>{{}, kForbidden});
  network.add(a, b, std::vector<Cost>{kForbidden, kForbidden, {}, {}});
  const auto found = network.minimize();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->cost, kForbidden);
  EXPECT_EQ(CostNetwork().minimize()->cost, Cost());
}

} // namespace
