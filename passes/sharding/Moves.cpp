//===- Moves.cpp - what the layouts of a function have to have moved --------------------------===//

#include "passes/sharding/Moves.h"

#include "dialects/graph/Graph.h"

using namespace mlir;

namespace deepshard {

using sharding::LayoutAttr;

/// What is whole becomes summands without a move.
static LayoutAttr withoutNewSummands(LayoutAttr from, LayoutAttr to) {
  for (sharding::AxisRefAttr axis : to.getPartialAxes())
    if (!overlap(axis, from.getPartialAxes()))
      return to.withPartial(from.getPartial());
  return to;
}

static void add(SmallVector<Move> &moves, Value value, LayoutAttr from, LayoutAttr to) {
  to = withoutNewSummands(from, to);
  if (from != to)
    moves.push_back({value, from, to});
}

SmallVector<Move> movesOf(Operation *op, FlatSymbolRefAttr mesh, sharding::MeshAttr grid) {
  SmallVector<Move> moves;
  if (auto constraint = dyn_cast<sharding::ConstraintOp>(op)) {
    add(moves, constraint.getX(), sharding::layoutOf(constraint.getX()), constraint.getLayout());
    return moves;
  }
  auto ruled = dyn_cast<graph::ShardingRuleOpInterface>(op);
  auto declared = op->getAttrOfType<ArrayAttr>(sharding::kLayoutsAttr);
  if (!ruled || !declared)
    return moves;
  graph::ShardingRule rule = ruled.getShardingRule();
  SmallVector<LayoutAttr> lie = llvm::map_to_vector(
      op->getOperands(), [](Value operand) { return sharding::layoutOf(operand); });
  OpLayouts layouts(op, rule, lie, mesh, grid);
  SmallVector<Axes> factors = factorAxes(op, rule);
  for (auto [index, operand] : llvm::enumerate(op->getOperands()))
    add(moves, operand, lie[index], layouts.operandLayout(index, factors));
  for (auto [index, result] : llvm::enumerate(op->getResults()))
    add(moves, result, layouts.resultLayout(index, factors), cast<LayoutAttr>(declared[index]));
  return moves;
}

std::optional<Move> moveOfResult(OpOperand &returned) {
  auto function = cast<func::FuncOp>(returned.getOwner()->getParentOp());
  SmallVector<Move> moves;
  if (auto to = function.getResultAttrOfType<LayoutAttr>(returned.getOperandNumber(),
                                                         sharding::kLayoutAttr))
    add(moves, returned.get(), sharding::layoutOf(returned.get()), to);
  return moves.empty() ? std::nullopt : std::optional(moves.front());
}

} // namespace deepshard
