//===- ChooseLayouts.cpp - the cheapest layouts of parameters and values ----------------------===//

#include "passes/planner/Passes.h"

#include "passes/planner/LayoutNetwork.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_CHOOSELAYOUTS
#include "passes/planner/Passes.h.inc"

namespace {

struct ChooseLayoutsPass : impl::ChooseLayoutsBase<ChooseLayoutsPass> {
  void runOnOperation() override {
    sharding::MeshOp meshOp = sharding::onlyMesh(getOperation());
    if (!meshOp)
      return;
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (failed(choose(function, meshOp)))
        return signalPassFailure();
  }

  static LogicalResult choose(func::FuncOp function, sharding::MeshOp meshOp) {
    LayoutNetwork layouts(function, FlatSymbolRefAttr::get(meshOp.getSymNameAttr()),
                          meshOp.getAxes(), freeAxes(function, meshOp.getAxes()), MachineModel());
    if (failed(layouts.build()))
      return failure();
    std::optional<CostNetwork::Solution> best = layouts.costs().minimize();
    if (!best)
      return function.emitError("has too many layouts that depend on each other; pin some");
    if (best->cost >= kForbidden)
      return function.emitError("cannot be split as the pins say");
    layouts.annotate(best->choices);
    return success();
  }

  /// Axes that no input is cut over.
  static Axes freeAxes(func::FuncOp function, sharding::MeshAttr grid) {
    Axes taken, free;
    for (BlockArgument argument : function.getArguments())
      if (function.getArgAttr(argument.getArgNumber(), graph::kBatchDimensionAttr))
        if (sharding::LayoutAttr layout = sharding::layoutOf(argument))
          llvm::append_range(taken, layout.getSplitAxes());
    for (auto [name, size] : llvm::zip(grid.getNames(), grid.getSizes())) {
      auto axis = sharding::AxisRefAttr::get(grid.getContext(), name.getValue());
      if (size > 1 && !overlap(axis, taken))
        free.push_back(axis);
    }
    return free;
  }
};

} // namespace
} // namespace deepshard
