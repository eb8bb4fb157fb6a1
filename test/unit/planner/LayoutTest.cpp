//===- LayoutTest.cpp - found layouts against all layouts of random blocks --------------------===//

#include "test/unit/sharding/ProgramGenerator.h"
#include "test/unit/sharding/Testing.h"

#include "passes/planner/LayoutNetwork.h"

#include <map>
#include <numeric>
#include <set>

using namespace mlir;

namespace deepshard::sharding {
namespace {

constexpr const char *kMeshes[] = {R"(["a" = 2])", R"(["a" = 3])", R"(["a" = 2, "b" = 2])",
                                   R"(["a" = 4, "b" = 2])", R"(["a" = 2, "b" = 2, "c" = 2])"};

constexpr int kBlocks = 500, kMostOps = 10;
constexpr uint64_t kSeed = 1000;

/// Goes through all combinations, variable by variable, but for those that cost more than one that
/// was seen: by what is chosen already, the least that each open variable costs beside it, and the
/// least of each pair of open ones (costs are not negative). What the choices so far have cut into
/// parts that share nothing is gone through part by part, each once for the same choices around it.
/// (Partial forward checking: Larrosa and Meseguer, "Exploiting the use of DAC in MAX-CSP", 1996.
/// Parts: Dechter and Mateescu, "AND/OR search spaces for graphical models", 2007.)
class BruteForce {
public:
  explicit BruteForce(const CostNetwork &network)
      : network(network), tables(network.variables()), chosen(network.variables()) {
    for (const CostNetwork::Pair &pair : network.allPairs()) {
      const unsigned rows = network.choices(pair.a), columns = network.choices(pair.b);
      const std::vector<Cost> &costs = network.costsOf(pair.costs);
      std::vector<Cost> transposed;
      for (size_t column = 0; column < columns; ++column)
        for (size_t row = 0; row < rows; ++row)
          transposed.push_back(costs[row * columns + column]);
      tables[pair.a].emplace_back(pair.b, columns, costs);
      tables[pair.b].emplace_back(pair.a, rows, std::move(transposed));
    }
  }

  /// The least cost, if it is below the bound; else that.
  Cost run(Cost bound) {
    std::vector<unsigned> all(tables.size());
    std::iota(all.begin(), all.end(), 0);
    return leastOf(all, bound);
  }

  int64_t steps = 0;

private:
  /// Costs of a variable beside another one.
  struct Table {
    Table(unsigned other, size_t columns, std::vector<Cost> costs)
        : other(other), columns(columns), costs(std::move(costs)) {
      for (auto row = this->costs.begin(); row != this->costs.end(); row += columns)
        leastOfRows.push_back(*std::min_element(row, row + columns));
    }

    unsigned other;
    size_t columns; // choices of the other one
    std::vector<Cost> costs, leastOfRows;
  };

  /// Of each choice of an open variable what it costs at least: a pair of open ones counts for its
  /// first variable.
  std::vector<Cost> floors(unsigned variable) const {
    std::vector<Cost> result = network.costsAlone(variable);
    for (const Table &table : tables[variable])
      for (size_t choice = 0; choice < result.size(); ++choice)
        if (auto other = chosen[table.other])
          result[choice] = addCosts(result[choice], table.costs[choice * table.columns + *other]);
        else if (variable < table.other)
          result[choice] = addCosts(result[choice], table.leastOfRows[choice]);
    return result;
  }

  Cost floorOf(const std::vector<unsigned> &variables) const {
    Cost sum;
    for (unsigned variable : variables)
      sum = addCosts(sum, *llvm::min_element(floors(variable)));
    return sum;
  }

  /// Of a variable that is chosen: alone and beside others that are.
  Cost costOf(unsigned variable) const {
    Cost cost = network.costsAlone(variable)[*chosen[variable]];
    for (const Table &table : tables[variable])
      if (auto other = chosen[table.other])
        cost = addCosts(cost, table.costs[*chosen[variable] * table.columns + *other]);
    return cost;
  }

  /// A variable with few choices that may be below the bound, and many neighbours that are chosen.
  unsigned nextOf(const std::vector<unsigned> &open, Cost bound) const {
    const Cost floor = floorOf(open);
    auto weight = [&](unsigned variable) {
      const std::vector<Cost> own = floors(variable);
      const Cost others = floor - *llvm::min_element(own);
      const auto possible =
          llvm::count_if(own, [&](Cost cost) { return addCosts(others, cost) < bound; });
      const auto known = llvm::count_if(
          tables[variable], [&](const Table &table) { return chosen[table.other].has_value(); });
      return static_cast<double>(possible) / static_cast<double>(possible > 1 ? 1 + known : 1);
    };
    std::optional<double> least;
    unsigned next = open.front();
    for (unsigned variable : open)
      if (const double own = weight(variable); !least || own < *least) {
        least = own;
        next = variable;
      }
    return next;
  }

  /// Of open variables those that have tables with each other, directly or not.
  std::vector<std::vector<unsigned>> partsOf(std::set<unsigned> open) const {
    std::vector<std::vector<unsigned>> parts;
    while (!open.empty()) {
      std::vector<unsigned> part{*open.begin()};
      open.erase(open.begin());
      for (size_t i = 0; i < part.size(); ++i)
        for (const Table &table : tables[part[i]])
          if (open.erase(table.other))
            part.push_back(table.other);
      parts.push_back(std::move(part));
    }
    return parts;
  }

  /// A part, and what is chosen around it: all that its cost depends on.
  std::vector<unsigned> keyOf(const std::vector<unsigned> &open) const {
    std::vector<unsigned> key(open);
    std::map<unsigned, unsigned> around;
    for (unsigned variable : open)
      for (const Table &table : tables[variable])
        if (auto other = chosen[table.other])
          around[table.other] = *other;
    llvm::sort(key);
    for (auto [variable, choice] : around)
      key.insert(key.end(), {variable, choice});
    return key;
  }

  /// The least cost of open variables, beside what is chosen, if it is below the bound; else that.
  Cost leastOf(const std::vector<unsigned> &open, Cost bound) {
    if (open.empty() || floorOf(open) >= bound)
      return std::min(floorOf(open), bound);
    Seen &seen = known[keyOf(open)];
    if (seen.isExact || seen.cost >= bound)
      return std::min(seen.cost, bound);
    const Cost least = search(open, bound);
    seen = {least, least < bound};
    return least;
  }

  Cost search(const std::vector<unsigned> &open, Cost bound) {
    ++steps;
    const unsigned next = nextOf(open, bound);
    std::set<unsigned> rest(open.begin(), open.end());
    rest.erase(next);
    for (unsigned choice = 0; choice < network.choices(next); ++choice) {
      chosen[next] = choice;
      const std::vector<std::vector<unsigned>> parts = partsOf(rest);
      std::vector<Cost> costs{costOf(next)};
      for (const auto &part : parts)
        costs.push_back(floorOf(part));
      auto sum = [&] { return std::accumulate(costs.begin(), costs.end(), Cost(), addCosts); };
      for (size_t part = 0; part < parts.size() && sum() < bound; ++part) {
        const Cost others = sum() - costs[part + 1];
        costs[part + 1] = leastOf(parts[part], bound - others);
      }
      bound = std::min(bound, sum());
    }
    chosen[next] = std::nullopt;
    return bound;
  }

  /// The cost of a part, or what it is not less than.
  struct Seen {
    Cost cost;
    bool isExact = false;
  };

  const CostNetwork &network;
  std::vector<std::vector<Table>> tables; // per variable
  std::map<std::vector<unsigned>, Seen> known;
  std::vector<std::optional<unsigned>> chosen;
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

/// Half of the arguments are parameters that the search may place, the others are pinned. The
/// meshes take turns, with blocks of one to `kMostOps` ops on each.
TEST_P(ObjectiveTest, TheMinimumIsThatOfAllLayouts) {
  int improved = 0;
  int64_t steps = 0;
  for (uint64_t trial = 0; trial < kBlocks; ++trial) {
    SCOPED_TRACE("trial " + std::to_string(trial));
    Random random(kSeed + trial);
    const char *axes = kMeshes[trial % std::size(kMeshes)];
    OwningOpRef<ModuleOp> module = parse(axes, "");
    MeshAttr grid = mesh(axes);
    ProgramGenerator generator(Float64Type::get(&context), random);
    const auto ops = static_cast<int>(1 + trial / std::size(kMeshes) % kMostOps);
    func::FuncOp function = generator.generate(OpBuilder::atBlockEnd(module->getBody()), ops);
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
    const CostNetwork &costs = layouts.costs();
    auto found = costs.minimize();
    ASSERT_TRUE(found);
    if (found->cost < kForbidden) {
      ASSERT_EQ(costs.costOf(found->choices), found->cost);
    }
    BruteForce search(costs);
    ASSERT_EQ(found->cost, search.run(found->cost + Cost{0, 1}));
    steps += search.steps;
    improved += found->cost < costs.costOf(std::vector<unsigned>(costs.variables(), 0));
  }
  EXPECT_GT(improved, kBlocks / 10);
  RecordProperty("steps", testing::PrintToString(steps));
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
