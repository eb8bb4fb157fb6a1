//===- LayoutTest.cpp - found layouts against all layouts of random blocks --------------------===//

#include "test/unit/sharding/ProgramGenerator.h"
#include "test/unit/sharding/Testing.h"

#include "passes/planner/LayoutNetwork.h"

using namespace mlir;

namespace deepshard::sharding {
namespace {

constexpr const char *kMeshes[] = {R"(["a" = 2])", R"(["a" = 3])", R"(["a" = 2, "b" = 2])",
                                   R"(["a" = 4, "b" = 2])", R"(["a" = 2, "b" = 2, "c" = 2])"};

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
  static constexpr int64_t kMostSteps = 20000;

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

class LayoutTest : public ShardingTest {};

/// Half of the arguments are parameters that the search may place, the others are pinned.
TEST_F(LayoutTest, TheMinimumIsThatOfAllLayouts) {
  constexpr int kWanted = 500;
  int compared = 0, improved = 0;
  for (uint64_t trial = 0; compared < kWanted && trial < 10 * kWanted; ++trial) {
    SCOPED_TRACE("trial " + std::to_string(trial));
    Random random(trial);
    // Three axes take most of the time.
    const char *axes = kMeshes[trial % 12 == 0 ? 4 : trial % 4];
    OwningOpRef<ModuleOp> module = parse(axes, "");
    MeshAttr grid = mesh(axes);
    ProgramGenerator generator(Float64Type::get(&context), random);
    func::FuncOp function = generator.generate(OpBuilder::atBlockEnd(module->getBody()),
                                               1 + static_cast<int>(random() % 10));
    for (BlockArgument argument : function.getArguments()) {
      auto type = cast<RankedTensorType>(argument.getType());
      unsigned index = argument.getArgNumber();
      if (random() % 2 == 0 && type.getElementType().isF64())
        function.setArgAttr(index, graph::kParameterAttr,
                            StringAttr::get(&context, "p" + std::to_string(index)));
      else
        function.setArgAttr(index, kLayoutAttr, randomLayout(type, grid, random));
    }
    SmallVector<AxisRefAttr> free;
    for (StringAttr name : grid.getNames())
      free.push_back(AxisRefAttr::get(&context, name.getValue()));
    LayoutNetwork layouts(function, FlatSymbolRefAttr::get(&context, "mesh"), grid, free,
                          MachineModel());
    ASSERT_TRUE(succeeded(layouts.build()));
    std::optional<Cost> least = BruteForce(layouts.costs()).run();
    if (!least)
      continue;
    auto found = layouts.costs().minimize();
    ASSERT_TRUE(found);
    ASSERT_EQ(found->cost, *least);
    ++compared;
    const std::vector<unsigned> first(layouts.costs().variables(), 0);
    improved += found->cost < layouts.costs().costOf(first);
  }
  EXPECT_EQ(compared, kWanted);
  EXPECT_GT(improved, kWanted / 10);
}

} // namespace
} // namespace deepshard::sharding
