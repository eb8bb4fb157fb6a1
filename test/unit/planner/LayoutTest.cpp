//===- LayoutTest.cpp - found layouts against all layouts of random blocks --------------------===//

#include "test/unit/sharding/ProgramGenerator.h"
#include "test/unit/sharding/Testing.h"

#include "passes/planner/LayoutNetwork.h"

#include <map>
#include <set>

using namespace mlir;

namespace deepshard::sharding {
namespace {

constexpr const char *kMeshes[] = {R"(["a" = 2])", R"(["a" = 3])", R"(["a" = 2, "b" = 2])",
                                   R"(["a" = 4, "b" = 2])", R"(["a" = 2, "b" = 2, "c" = 2])"};

// Blocks that are compared: in all, on each mesh; and how many are tried at most.
constexpr int kWanted = 500, kWantedEach = 60, kMost = 5000;

/// Goes through all combinations, variable by variable, but for those that cost more than one that
/// was seen even without what is still open (costs are not negative).
class BruteForce {
public:
  explicit BruteForce(const CostNetwork &network) : network(network) {}

  /// Nothing if there are too many.
  std::optional<Cost> run() {
    extend();
    return steps > kMostSteps ? std::nullopt : std::optional(least);
  }

private:
  static constexpr int64_t kMostSteps = 100000;

  void extend() {
    if (++steps > kMostSteps)
      return;
    const Cost cost = network.costOf(choices);
    if (cost >= least)
      return;
    if (choices.size() == network.variables()) {
      least = cost;
      return;
    }
    const unsigned count = network.choices(static_cast<unsigned>(choices.size()));
    for (unsigned choice = 0; choice < count; ++choice) {
      choices.push_back(choice);
      extend();
      choices.pop_back();
    }
  }

  const CostNetwork &network;
  std::vector<unsigned> choices;
  Cost least = kForbidden;
  int64_t steps = 0;
};

class LayoutTest : public ShardingTest {
protected:
  struct Less {
    template <typename T> bool operator()(const T &a, const T &b) const {
      if constexpr (std::is_same_v<T, AxisRefAttr>)
        return a.getAsOpaquePointer() < b.getAsOpaquePointer();
      else
        return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), *this);
    }
  };

  SmallVector<AxisRefAttr> axesOf(MeshAttr grid) {
    SmallVector<AxisRefAttr> axes;
    for (StringAttr name : grid.getNames())
      axes.push_back(AxisRefAttr::get(&context, name.getValue()));
    return axes;
  }

  static std::vector<std::vector<AxisRefAttr>> listOf(ArrayRef<Axes> factors) {
    std::vector<std::vector<AxisRefAttr>> list;
    for (const Axes &axes : factors)
      list.emplace_back(axes.begin(), axes.end());
    return list;
  }

  static bool isPossible(const graph::ShardingRule &rule, ArrayRef<Axes> factors, MeshAttr grid) {
    for (unsigned factor = 0; factor < factors.size(); ++factor) {
      if (factors[factor].empty())
        continue;
      if (rule.factors[factor].kind == graph::FactorKind::Replicate ||
          rule.factors[factor].size % grid.sizeOf(factors[factor]) != 0)
        return false;
      for (unsigned result = 0; result < rule.results.size(); ++result)
        for (unsigned other = 0; other < factors.size(); ++other) {
          auto a = rule.partialKind(result, factor), b = rule.partialKind(result, other);
          if (!factors[other].empty() && a && b && *a != *b)
            return false;
        }
    }
    return !findStrided(rule, factors, grid);
  }
};

class ObjectiveTest : public LayoutTest, public testing::WithParamInterface<Objective> {};

/// Half of the arguments are parameters that the search may place, the others are pinned. Every
/// mesh has its share, blocks on three axes being shorter: all combinations have to be gone
/// through.
TEST_P(ObjectiveTest, TheMinimumIsThatOfAllLayouts) {
  std::map<std::string, int> compared;
  int all = 0, improved = 0;
  auto isDone = [&] {
    return all >= kWanted && compared.size() == std::size(kMeshes) &&
           llvm::all_of(compared, [](const auto &each) { return each.second >= kWantedEach; });
  };
  for (uint64_t trial = 0; !isDone() && trial < kMost; ++trial) {
    SCOPED_TRACE("trial " + std::to_string(trial));
    Random random(trial);
    const char *axes = kMeshes[trial % std::size(kMeshes)];
    OwningOpRef<ModuleOp> module = parse(axes, "");
    MeshAttr grid = mesh(axes);
    ProgramGenerator generator(Float64Type::get(&context), random);
    const uint64_t mostOps = grid.getNames().size() == 3 ? 4 : 10;
    func::FuncOp function = generator.generate(OpBuilder::atBlockEnd(module->getBody()),
                                               1 + static_cast<int>(random() % mostOps));
    for (BlockArgument argument : function.getArguments()) {
      auto type = cast<RankedTensorType>(argument.getType());
      unsigned index = argument.getArgNumber();
      if (random() % 2 == 0 && type.getElementType().isF64())
        function.setArgAttr(index, graph::kParameterAttr,
                            StringAttr::get(&context, "p" + std::to_string(index)));
      else
        function.setArgAttr(index, kLayoutAttr, randomLayout(type, grid, random));
    }
    MachineModel machine;
    machine.objective = GetParam();
    LayoutNetwork layouts(function, FlatSymbolRefAttr::get(&context, "mesh"), grid, axesOf(grid),
                          machine);
    ASSERT_TRUE(succeeded(layouts.build()));
    std::optional<Cost> least = BruteForce(layouts.costs()).run();
    if (!least)
      continue;
    auto found = layouts.costs().minimize();
    ASSERT_TRUE(found);
    ASSERT_EQ(found->cost, *least);
    ++compared[axes];
    ++all;
    const std::vector<unsigned> first(layouts.costs().variables(), 0);
    improved += found->cost < layouts.costs().costOf(first);
  }
  EXPECT_TRUE(isDone()) << all;
  EXPECT_GT(improved, all / 10);
}

INSTANTIATE_TEST_SUITE_P(, ObjectiveTest, testing::Values(Objective::Time, Objective::Traffic),
                         [](const auto &info) {
                           return info.param == Objective::Time ? "Time" : "Traffic";
                         });

/// Every way to put each axis on a factor or on none is a candidate, unless the factor has to be
/// whole, does not divide, would be strided, or a result would be partial in two ways.
TEST_F(LayoutTest, CandidatesAreAllSplits) {
  size_t seen = 0;
  for (uint64_t trial = 0; trial < 200; ++trial) {
    SCOPED_TRACE("trial " + std::to_string(trial));
    Random random(trial);
    const char *axes = kMeshes[trial % std::size(kMeshes)];
    OwningOpRef<ModuleOp> module = parse(axes, "");
    MeshAttr grid = mesh(axes);
    auto symbol = FlatSymbolRefAttr::get(&context, "mesh");
    ProgramGenerator generator(Float64Type::get(&context), random);
    func::FuncOp function = generator.generate(OpBuilder::atBlockEnd(module->getBody()), 4);
    for (Operation &op : function.getBody().front().without_terminator()) {
      graph::ShardingRule rule = cast<graph::ShardingRuleOpInterface>(op).getShardingRule();
      FixedSplit fixed{SmallVector<Axes>(rule.factors.size()), {}};
      for (Type type : op.getOperandTypes())
        fixed.operands.push_back(
            LayoutAttr::replicated(symbol, cast<RankedTensorType>(type).getRank()));
      std::set<std::vector<std::vector<AxisRefAttr>>, Less> found, expected;
      for (const Candidate &candidate : candidatesOf(&op, rule, fixed, axesOf(grid), symbol, grid))
        found.insert(listOf(candidate.factors));
      // As digits: 0 is none, else the factor before.
      const SmallVector<AxisRefAttr> free = axesOf(grid);
      size_t combinations = 1;
      for (size_t i = 0; i < free.size(); ++i)
        combinations *= rule.factors.size() + 1;
      for (size_t combination = 0; combination < combinations; ++combination) {
        SmallVector<Axes> factors(rule.factors.size());
        size_t rest = combination;
        for (AxisRefAttr axis : free) {
          if (size_t digit = rest % (rule.factors.size() + 1); digit > 0)
            factors[digit - 1].push_back(axis);
          rest /= rule.factors.size() + 1;
        }
        if (isPossible(rule, factors, grid))
          expected.insert(listOf(factors));
      }
      EXPECT_EQ(found.size(), expected.size()) << rule.text();
      EXPECT_TRUE(found == expected) << rule.text();
      seen += expected.size();
    }
  }
  EXPECT_GT(seen, 2000U);
}

} // namespace
} // namespace deepshard::sharding
