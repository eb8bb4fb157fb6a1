//===- OpLayouts.cpp - from axes per factor to layouts of operands and results ----------------===//

#include "passes/sharding/OpLayouts.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;

namespace deepshard {

using sharding::AxisListAttr;
using sharding::AxisRefAttr;
using sharding::LayoutAttr;
using sharding::PartialAttr;

static sharding::Reduction reductionOf(graph::ReductionKind kind) {
  switch (kind) {
  case graph::ReductionKind::Sum:
    return sharding::Reduction::Sum;
  case graph::ReductionKind::Max:
    return sharding::Reduction::Max;
  case graph::ReductionKind::Min:
    return sharding::Reduction::Min;
  }
  return sharding::Reduction::Sum;
}

static graph::ReductionKind kindOf(sharding::Reduction reduction) {
  switch (reduction) {
  case sharding::Reduction::Sum:
    return graph::ReductionKind::Sum;
  case sharding::Reduction::Max:
    return graph::ReductionKind::Max;
  case sharding::Reduction::Min:
    return graph::ReductionKind::Min;
  }
  return graph::ReductionKind::Sum;
}

bool overlap(ArrayRef<AxisRefAttr> a, ArrayRef<AxisRefAttr> b) {
  return llvm::any_of(a, [&](AxisRefAttr first) {
    return llvm::any_of(b,
                        [&](AxisRefAttr second) { return !sharding::canCoexist(first, second); });
  });
}

SmallVector<Axes> factorAxes(Operation *op, const graph::ShardingRule &rule) {
  SmallVector<Axes> factors(rule.factors.size());
  if (auto attribute = op->getAttrOfType<sharding::FactorsAttr>(sharding::kFactorsAttr))
    for (auto [axes, list] : llvm::zip(factors, attribute.getFactors()))
      axes.assign(list.getAxes().begin(), list.getAxes().end());
  return factors;
}

SmallVector<std::pair<unsigned, Axes>> OpLayouts::project(const graph::DimensionFactors &factors,
                                                          ArrayRef<AxisRefAttr> axes) const {
  SmallVector<std::pair<unsigned, Axes>> result;
  for (unsigned factor : factors) {
    Axes taken;
    while (!axes.empty() &&
           rule.factors[factor].size % (grid.sizeOf(taken) * grid.sizeOf(axes.front())) == 0) {
      taken.push_back(axes.front());
      axes = axes.drop_front();
    }
    bool isFull = grid.sizeOf(taken) == rule.factors[factor].size;
    if (!taken.empty())
      result.push_back({factor, std::move(taken)});
    if (!isFull)
      break;
  }
  return result;
}

std::optional<SmallVector<unsigned>> OpLayouts::partialOperands() const {
  SmallVector<unsigned> partial;
  for (auto [index, layout] : llvm::enumerate(operands)) {
    if (!layout.isPartial())
      continue;
    if (!partial.empty() && operands[partial.front()].getPartial() != layout.getPartial())
      return std::nullopt;
    partial.push_back(index);
  }
  return partial;
}

const graph::PartialOperands *OpLayouts::passing(ArrayRef<Axes> factors) const {
  std::optional<SmallVector<unsigned>> partial = partialOperands();
  if (!partial || partial->empty())
    return nullptr;
  PartialAttr attribute = operands[partial->front()].getPartial();
  for (const Axes &axes : factors)
    if (overlap(axes, attribute.getAxes()))
      return nullptr;
  const graph::PartialOperands *set = rule.findPartial(*partial, kindOf(attribute.getKind()));
  return set && paysOff(*set) ? set : nullptr;
}

/// Whether `value` is only returned, as summands: then it is reduced with others, later.
static bool isReturnedAs(Value value, PartialAttr partial) {
  if (!value.hasOneUse())
    return false;
  auto terminator = dyn_cast<func::ReturnOp>(*value.getUsers().begin());
  if (!terminator)
    return false;
  auto layout = cast<func::FuncOp>(terminator->getParentOp())
                    .getResultAttrOfType<LayoutAttr>(value.getUses().begin()->getOperandNumber(),
                                                     sharding::kLayoutAttr);
  return layout && layout.getPartial() == partial;
}

bool OpLayouts::paysOff(const graph::PartialOperands &set) const {
  auto elements = [](Type type) { return cast<RankedTensorType>(type).getNumElements(); };
  PartialAttr partial = operands[set.operands.front()].getPartial();
  int64_t before = 0, after = 0;
  for (unsigned operand : set.operands) {
    if (!op->getOperand(operand).hasOneUse())
      return false;
    before += elements(op->getOperand(operand).getType());
  }
  for (unsigned result : set.results)
    if (!isReturnedAs(op->getResult(result), partial))
      after += elements(op->getResult(result).getType());
  return after <= before;
}

LayoutAttr OpLayouts::layoutOf(const graph::TensorFactors &tensor, ArrayRef<Axes> factors,
                               PartialAttr partial) const {
  SmallVector<AxisListAttr> dims;
  for (const graph::DimensionFactors &dimension : tensor) {
    Axes axes;
    for (unsigned factor : dimension)
      llvm::append_range(axes, factors[factor]);
    dims.push_back(AxisListAttr::get(grid.getContext(), grid.canonical(axes)));
  }
  return LayoutAttr::get(mesh, dims, partial);
}

LayoutAttr OpLayouts::operandLayout(unsigned index, ArrayRef<Axes> factors) const {
  const graph::PartialOperands *set = passing(factors);
  bool stays = set && llvm::is_contained(set->operands, index);
  return layoutOf(rule.operands[index], factors, stays ? operands[index].getPartial() : nullptr);
}

LayoutAttr OpLayouts::resultLayout(unsigned index, ArrayRef<Axes> factors) const {
  Axes axes;
  std::optional<graph::ReductionKind> kind;
  Type type;
  const graph::PartialOperands *set = passing(factors);
  if (set && llvm::is_contained(set->results, index)) {
    PartialAttr attribute = operands[set->operands.front()].getPartial();
    axes.assign(attribute.getAxes().begin(), attribute.getAxes().end());
    kind = kindOf(attribute.getKind());
    type = attribute.getType();
  }
  for (auto [factor, split] : llvm::enumerate(factors)) {
    std::optional<graph::ReductionKind> leaves =
        split.empty() ? std::nullopt : rule.partialKind(index, factor);
    if (!leaves)
      continue;
    // What is partial in two ways at once has no layout; the passes do not choose such axes.
    assert((!kind || *kind == *leaves) && "two reductions of one result");
    kind = leaves;
    llvm::append_range(axes, split);
  }
  PartialAttr partial;
  if (kind)
    partial = PartialAttr::get(grid.getContext(), reductionOf(*kind), grid.inMeshOrder(axes), type);
  return layoutOf(rule.results[index], factors, partial);
}

} // namespace deepshard
