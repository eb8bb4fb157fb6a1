//===- PropagateLayouts.cpp - layouts of all values from those of the arguments ---------------===//
//
// Ops are visited in order, so the layouts of an op's operands are known and say how its factors
// are split (FactorChoice.h):
//
//   linear  x [b:{data}, s, k] , w [k, n:{tensor}]   ->  b = {data}, n = {tensor}
//           y [b:{data}, s, n:{tensor}]
//
// A split factor that the result lacks leaves summands, which pass on through ops that are linear
// in them (the rule says which); the first op that is not gets the reduced value, and so does every
// op that adds something once to the result (a bias).
//
// Ops that have layouts already (choose-layouts) keep them. O(ops x wishes log wishes). No
// look-ahead, but for dimensions that no operand has: they are split as what they are read with.
//
//===------------------------------------------------------------------------------------------===//

#include "passes/sharding/Arguments.h"
#include "passes/sharding/FactorChoice.h"
#include "passes/sharding/LayoutRemarks.h"
#include "passes/sharding/OpLayouts.h"
#include "passes/sharding/Passes.h"

#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_PROPAGATELAYOUTS
#include "passes/sharding/Passes.h.inc"

namespace {

using sharding::LayoutAttr;

int64_t rankOf(Type type) { return cast<RankedTensorType>(type).getRank(); }

struct PropagateLayoutsPass : impl::PropagateLayoutsBase<PropagateLayoutsPass> {
  void runOnOperation() override {
    sharding::MeshOp meshOp = sharding::onlyMesh(getOperation());
    if (!meshOp)
      return;
    mesh = FlatSymbolRefAttr::get(meshOp.getSymNameAttr());
    grid = meshOp.getAxes();
    LogicalResult result = success();
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (failed(propagate(function)))
        result = failure();
    if (failed(result) || !said.empty())
      signalPassFailure();
  }

  LogicalResult propagate(func::FuncOp function) {
    LayoutRemarks functionRemarks(&getContext(), grid, searchedAxes(function, grid));
    remarks = &functionRemarks;
    for (BlockArgument argument : function.getArguments())
      if (failed(completeArgument(argument)))
        return failure();
    annotateResults(function);
    for (Operation &op : function.getBody().front().without_terminator())
      if (failed(annotate(&op)))
        return failure();
    if (!remarks->isOn)
      return success();
    for (OpOperand &returned : function.getBody().front().getTerminator()->getOpOperands())
      if (std::optional<Move> move = moveOfResult(returned))
        remarks->moved(*move, returned.get().getLoc(),
                       "result " + std::to_string(returned.getOperandNumber()));
    return success();
  }

  LayoutAttr replicated(Type type) { return LayoutAttr::replicated(mesh, rankOf(type)); }

  /// An argument that nobody pinned is whole everywhere. A pin has to divide.
  LogicalResult completeArgument(BlockArgument argument) {
    LayoutAttr layout = sharding::layoutOf(argument);
    if (!layout) {
      setArgumentLayout(argument, replicated(argument.getType()));
      return success();
    }
    ArrayRef<int64_t> shape = cast<RankedTensorType>(argument.getType()).getShape();
    std::optional<unsigned> uneven = layout.firstUnevenDim(grid, shape);
    if (!uneven) {
      remarks->begin(argument, layout, nameOf(argument));
      return success();
    }
    return emitError(argument.getLoc())
           << "dimension " << *uneven << " of size " << shape[*uneven] << " does not split over "
           << sharding::textOf(layout.getAxes(*uneven)) << " of size "
           << grid.sizeOf(layout.getAxes(*uneven)) << "; run pad-parameters first";
  }

  static std::string nameOf(BlockArgument argument) {
    auto function = cast<func::FuncOp>(argument.getOwner()->getParentOp());
    unsigned index = argument.getArgNumber();
    for (StringRef role : {StringRef(graph::kParameterAttr), StringRef(graph::kBufferAttr),
                           StringRef(graph::kInputAttr)})
      if (auto name = function.getArgAttrOfType<StringAttr>(index, role))
        return name.str();
    return "argument " + std::to_string(index);
  }

  /// Whether only ops read the value that split another factor than the outside does: they take it
  /// as it comes.
  static bool isReadInside(Value value) {
    return llvm::all_of(value.getUsers(), [](Operation *user) {
      auto ruled = dyn_cast<graph::ShardingRuleOpInterface>(user);
      return ruled && !ruled.getShardingRule().instead.empty();
    });
  }

  LogicalResult annotate(Operation *op) {
    if (auto constraint = dyn_cast<sharding::ConstraintOp>(op)) {
      sharding::setLayouts(constraint, constraint.getLayout());
      explainMoves(op);
      remarks->begin(constraint.getResult(), constraint.getLayout(), "a constraint");
      return success();
    }
    auto ruled = dyn_cast<graph::ShardingRuleOpInterface>(op);
    if (!ruled)
      return op->emitOpError("has no sharding rule");
    graph::ShardingRule rule = ruled.getShardingRule();
    SmallVector<LayoutAttr> operands = llvm::map_to_vector(
        op->getOperands(), [](Value operand) { return sharding::layoutOf(operand); });
    OpLayouts layouts(op, rule, operands, mesh, grid);
    auto decided = op->getAttrOfType<ArrayAttr>(sharding::kLayoutsAttr);
    FactorChoice choice;
    if (decided)
      choice.factors = choice.home = factorAxes(op, rule);
    else
      choice = chooseFactors(op, rule, layouts, operands,
                             wishesOfReaders(op, rule, sharding::layoutOf, mesh, grid),
                             attentionOf(op), grid);
    // Layers are alike: what was said of one is not said again.
    if (!choice.refused.empty() && said.insert(choice.refused).second)
      emitError(op->getLoc()) << choice.refused;
    const auto &factors = choice.factors;
    SmallVector<LayoutAttr> results;
    for (unsigned index = 0; index < op->getNumResults(); ++index) {
      LayoutAttr layout = layouts.resultLayout(index, factors);
      results.push_back(layout);
      if (decided)
        results.back() = cast<LayoutAttr>(decided[index]);
      else if (choice.home != factors)
        results.back() = layouts.resultLayout(index, choice.home);
      else if (layout.isPartial() && !rule.once.empty())
        // What is added once to the result can be added only to the whole of it.
        results.back() = layout.withPartial(nullptr);
      if (!layout.isPartial())
        remarks->comesIn(op->getResult(index), layout);
    }
    auto lists = llvm::map_to_vector(factors, [&](const Axes &axes) {
      return sharding::AxisListAttr::get(&getContext(), axes);
    });
    op->setAttr(sharding::kFactorsAttr, sharding::FactorsAttr::get(&getContext(), lists));
    SmallVector<Attribute> attributes(results.begin(), results.end());
    op->setAttr(sharding::kLayoutsAttr, ArrayAttr::get(&getContext(), attributes));
    explainMoves(op);
    remarks->goesRound(op, rule, factors);
    remarks->chosen(op, factors, choice.givers, results);
    return success();
  }

  void explainMoves(Operation *op) {
    if (!remarks->isOn)
      return;
    for (const Move &move : movesOf(op, mesh, grid))
      if (move.value.getDefiningOp() != op || !isReadInside(move.value))
        remarks->moved(move, op->getLoc(), op->getName().stripDialect());
  }

  /// A gradient lies as its parameter, and is left as summands over the axes that cut an input,
  /// along its batch or its sequence: these are summed once for a whole bucket. Every other result
  /// is whole.
  void annotateResults(func::FuncOp function) {
    llvm::StringMap<LayoutAttr> parameters;
    Axes cuts;
    for (BlockArgument argument : function.getArguments()) {
      unsigned index = argument.getArgNumber();
      LayoutAttr layout = sharding::layoutOf(argument);
      if (auto name = function.getArgAttrOfType<StringAttr>(index, graph::kParameterAttr))
        parameters[name.getValue()] = layout;
      if (function.getArgAttr(index, graph::kInputAttr))
        for (sharding::AxisRefAttr axis : layout.getSplitAxes())
          if (!overlap(axis, cuts))
            cuts.push_back(axis);
    }
    cuts = Axes(grid.inMeshOrder(cuts));
    for (auto [index, type] : llvm::enumerate(function.getResultTypes())) {
      if (function.getResultAttr(index, sharding::kLayoutAttr))
        continue;
      LayoutAttr layout = replicated(type);
      if (auto name = function.getResultAttrOfType<StringAttr>(index, graph::kGradientAttr)) {
        layout = parameters.lookup(name.getValue());
        if (!cuts.empty())
          layout = layout.withPartial(
              sharding::PartialAttr::get(&getContext(), sharding::Reduction::Sum, cuts));
      }
      function.setResultAttr(index, sharding::kLayoutAttr, layout);
    }
  }

  FlatSymbolRefAttr mesh;
  sharding::MeshAttr grid;
  LayoutRemarks *remarks = nullptr; // of the function at hand
  llvm::StringSet<> said;           // what was refused
};

} // namespace
} // namespace deepshard
