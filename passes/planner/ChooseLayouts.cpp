//===- ChooseLayouts.cpp - the cheapest layouts of parameters and values ----------------------===//

#include "passes/planner/Passes.h"

#include "passes/planner/Explanation.h"
#include "passes/planner/LayoutNetwork.h"
#include "passes/planner/WhyNot.h"
#include "passes/sharding/Arguments.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_CHOOSELAYOUTS
#include "passes/planner/Passes.h.inc"

namespace {

struct ChooseLayoutsPass : impl::ChooseLayoutsBase<ChooseLayoutsPass> {
  using ChooseLayoutsBase::ChooseLayoutsBase;

  void runOnOperation() override {
    sharding::MeshOp meshOp = sharding::onlyMesh(getOperation());
    if (!meshOp) {
      if (!whyNot.empty()) {
        getOperation().emitError("why not ")
            << whyNot.front() << ": nothing is searched on one rank; set deepshard.mesh.tensor";
        signalPassFailure();
      }
      return;
    }
    std::optional<MachineModel> machine = machineModel();
    if (!machine)
      return signalPassFailure();
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (failed(choose(function, meshOp, *machine)))
        return signalPassFailure();
  }

  std::optional<MachineModel> machineModel() {
    MachineModel machine;
    if (objective == "traffic") {
      machine.objective = Objective::Traffic;
    } else if (objective != "time") {
      getOperation().emitError("choose-layouts: objective is \"")
          << objective << "\"; choose time or traffic";
      return std::nullopt;
    }
    machine.flopsPerSecond = tflops * 1e12;
    machine.memoryBytesPerSecond = memoryGbPerS * 1e9;
    if (tierLatencies.size() != tierSizes.size() || tierBandwidths.size() != tierSizes.size()) {
      getOperation().emitError(
          "choose-layouts: tier-sizes, tier-latency-us and tier-gb-per-s need one "
          "number per tier each");
      return std::nullopt;
    }
    if (!tierSizes.empty())
      machine.tiers.clear();
    for (auto [size, latency, bandwidth] :
         llvm::zip_equal(tierSizes, tierLatencies, tierBandwidths))
      machine.tiers.push_back({size, latency * 1e-6, bandwidth * 1e9});
    return machine;
  }

  LogicalResult choose(func::FuncOp function, sharding::MeshOp meshOp,
                       const MachineModel &machine) {
    Axes free(searchedAxes(function, meshOp.getAxes()));
    if (free.empty() && !hasAttentionToChoose(function)) {
      if (!whyNot.empty())
        return function.emitError("why not ")
               << whyNot.front() << ": nothing is searched, no mesh axis is free to split tensors";
      return success();
    }
    LayoutNetwork layouts(function, FlatSymbolRefAttr::get(meshOp.getSymNameAttr()),
                          meshOp.getAxes(), free, machine);
    if (failed(layouts.build()))
      return failure();
    std::optional<CostNetwork::Solution> best = layouts.costs().minimize();
    if (!best)
      return function.emitError("has too many layouts that depend on each other; pin some");
    if (best->cost >= kForbidden)
      return function.emitError("cannot be split as the pins say");
    explainLayouts(function, layouts, *best);
    for (const std::string &question : whyNot)
      if (failed(answerWhyNot(function, layouts, *best, question)))
        return failure();
    layouts.annotate(best->choices);
    warnOfIdleAxes(function, free);
    warnOfWholeAttention(function, meshOp.getAxes(), free);
    return success();
  }

  /// Whether attention over a split sequence may split heads or go round.
  static bool hasAttentionToChoose(func::FuncOp function) {
    return attentionOf(function) == sharding::kAuto &&
           llvm::any_of(function.getArguments(), [&](BlockArgument argument) {
             auto dim = function.getArgAttrOfType<IntegerAttr>(argument.getArgNumber(),
                                                               graph::kSequenceDimensionAttr);
             sharding::LayoutAttr layout = sharding::layoutOf(argument);
             return dim && layout && !layout.getAxes(dim.getInt()).empty();
           });
  }

  /// Ranks that all compute the same are hardly what anybody wants.
  static void warnOfIdleAxes(func::FuncOp function, Axes idle) {
    auto drop = [&](ArrayRef<sharding::AxisRefAttr> used) {
      llvm::erase_if(idle, [&](sharding::AxisRefAttr axis) { return overlap(axis, used); });
    };
    for (BlockArgument argument : function.getArguments())
      drop(sharding::layoutOf(argument).getSplitAxes());
    function.walk([&](Operation *op) {
      if (auto factors = op->getAttrOfType<sharding::FactorsAttr>(sharding::kFactorsAttr))
        for (sharding::AxisListAttr axes : factors.getFactors())
          drop(axes.getAxes());
    });
    for (sharding::AxisRefAttr axis : idle)
      function.emitWarning("splitting over the mesh axis ")
          << axis.getName()
          << " does not pay: its ranks all compute the same; leave the axis out, or pin "
          << "layouts over it";
  }

  /// Heads that do not divide are computed on every rank: of short sequences little is lost, of
  /// long ones most of the step.
  static void warnOfWholeAttention(func::FuncOp function, sharding::MeshAttr grid,
                                   const Axes &axes) {
    llvm::DenseSet<std::pair<int64_t, Attribute>> said;
    function.walk([&](graph::AttentionOp op) {
      constexpr unsigned kLse = 1, kHead = 1;
      const int64_t groups = op.getK().getType().getDimSize(kHead);
      // Those of queries can be split where they share one of keys and values.
      const int64_t heads = groups == 1 ? op.getQ().getType().getDimSize(kHead) : groups;
      auto split = op->getAttrOfType<sharding::FactorsAttr>(sharding::kFactorsAttr);
      const graph::ShardingRule rule = op.getShardingRule();
      auto isSplit = [&](sharding::AxisRefAttr axis) {
        return llvm::any_of(llvm::enumerate(split.getFactors()), [&](auto factor) {
          return graph::ShardingRule::has(rule.results[kLse], factor.index()) &&
                 llvm::is_contained(factor.value().getAxes(), axis);
        });
      };
      for (sharding::AxisRefAttr axis : axes)
        if (const int64_t ranks = grid.sizeOf({axis});
            heads % ranks != 0 && !isSplit(axis) && said.insert({heads, axis}).second)
          op.emitWarning() << heads << (groups == 1 ? " heads" : " heads of keys and values")
                           << " do not divide over the mesh axis " << axis.getName() << " of "
                           << ranks << " ranks: each of them computes all";
    });
  }
};

} // namespace
} // namespace deepshard
