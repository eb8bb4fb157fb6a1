//===- VerifyAnnotated.cpp - the border in front of partition ---------------------------------===//
//
// The numbers in the comments are those of the pass's description.
//
//===------------------------------------------------------------------------------------------===//

#include "dialects/graph/Graph.h"
#include "passes/sharding/OpLayouts.h"
#include "passes/sharding/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_VERIFYANNOTATED
#include "passes/sharding/Passes.h.inc"

namespace {

using sharding::LayoutAttr;

struct VerifyAnnotatedPass : impl::VerifyAnnotatedBase<VerifyAnnotatedPass> {
  void runOnOperation() override {
    markAllAnalysesPreserved();
    sharding::MeshOp meshOp = sharding::onlyMesh(getOperation());
    if (!meshOp)
      return;
    mesh = FlatSymbolRefAttr::get(meshOp.getSymNameAttr());
    grid = meshOp.getAxes();
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      verifyBorders(function);
      for (Operation &op : function.getBody().front().without_terminator())
        verify(&op);
    }
    if (!valid)
      signalPassFailure();
  }

  InFlightDiagnostic fault(Location location) {
    valid = false;
    return emitError(location);
  }

  /// 1
  void verifyBorders(func::FuncOp function) {
    auto check = [&](LayoutAttr layout, Type type, const Twine &what) {
      ArrayRef<int64_t> shape = cast<RankedTensorType>(type).getShape();
      if (!layout) {
        fault(function.getLoc()) << what << " of @" << function.getSymName() << " has no layout";
        return;
      }
      if (std::optional<unsigned> dim = layout.firstUnevenDim(grid, shape))
        fault(function.getLoc()) << what << " of @" << function.getSymName() << ": dimension "
                                 << *dim << " of size " << shape[*dim] << " does not split over "
                                 << sharding::textOf(layout.getAxes(*dim));
    };
    for (BlockArgument argument : function.getArguments())
      check(sharding::layoutOf(argument), argument.getType(),
            "argument " + Twine(argument.getArgNumber()));
    for (auto [index, type] : llvm::enumerate(function.getResultTypes()))
      check(function.getResultAttrOfType<LayoutAttr>(index, sharding::kLayoutAttr), type,
            "result " + Twine(index));
  }

  /// 2
  void verify(Operation *op) {
    auto layouts = op->getAttrOfType<ArrayAttr>(sharding::kLayoutsAttr);
    if (!layouts || layouts.size() != op->getNumResults()) {
      fault(op->getLoc()) << "'" << op->getName() << "' has " << (layouts ? layouts.size() : 0)
                          << " layouts for " << op->getNumResults() << " results";
      return;
    }
    if (isa<sharding::ConstraintOp>(op))
      return;
    auto ruled = dyn_cast<graph::ShardingRuleOpInterface>(op);
    if (!ruled) {
      fault(op->getLoc()) << "'" << op->getName() << "' has no sharding rule";
      return;
    }
    graph::ShardingRule rule = ruled.getShardingRule();
    auto factors = op->getAttrOfType<sharding::FactorsAttr>(sharding::kFactorsAttr);
    size_t count = factors ? factors.getFactors().size() : 0;
    if (count != rule.factors.size()) {
      fault(op->getLoc()) << "'" << op->getName() << "' has axes for " << count
                          << " factors; its rule has " << rule.factors.size() << ": "
                          << rule.text();
      return;
    }
    if (verifyFactors(op, rule))
      verifyResults(op, rule, layouts);
  }

  /// 3
  bool verifyFactors(Operation *op, const graph::ShardingRule &rule) {
    SmallVector<Axes> factors = factorAxes(op, rule);
    bool good = true;
    auto say = [&](unsigned factor) -> InFlightDiagnostic {
      good = false;
      return std::move(fault(op->getLoc())
                       << "factor " << factor << " of size " << rule.factors[factor].size
                       << " is split over " << sharding::textOf(factors[factor]));
    };
    for (auto [index, axes] : llvm::enumerate(factors)) {
      if (axes.empty())
        continue;
      if (rule.factors[index].kind == graph::FactorKind::Replicate)
        say(index) << ", but has to be whole: " << rule.text();
      else if (rule.factors[index].size % grid.sizeOf(axes) != 0)
        say(index) << ", which does not divide it";
    }
    return good;
  }

  /// 4
  void verifyResults(Operation *op, const graph::ShardingRule &rule, ArrayAttr declared) {
    SmallVector<LayoutAttr> operands = llvm::map_to_vector(
        op->getOperands(), [](Value operand) { return sharding::layoutOf(operand); });
    if (llvm::is_contained(operands, LayoutAttr()))
      return; // said of the operand
    OpLayouts layouts(op, rule, operands, mesh, grid);
    SmallVector<Axes> factors = factorAxes(op, rule);
    for (auto [index, layout] : llvm::enumerate(declared.getAsRange<LayoutAttr>())) {
      LayoutAttr given = layouts.resultLayout(index, factors);
      ArrayRef<int64_t> shape = cast<RankedTensorType>(op->getResult(index).getType()).getShape();
      bool becomesPartial = llvm::any_of(layout.getPartialAxes(), [&](sharding::AxisRefAttr axis) {
        return !llvm::is_contained(given.getPartialAxes(), axis);
      });
      if (becomesPartial || layout.firstUnevenDim(grid, shape))
        fault(op->getLoc()) << "result " << index << " is declared to lie as " << layout
                            << "; its factors give " << given << ", which cannot be moved there";
    }
  }

  FlatSymbolRefAttr mesh;
  sharding::MeshAttr grid;
  bool valid = true;
};

} // namespace
} // namespace deepshard
