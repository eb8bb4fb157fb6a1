//===- FactorChoice.cpp - which axes split the factors of an op -------------------------------===//

#include "passes/sharding/FactorChoice.h"

using namespace mlir;

namespace deepshard {

namespace {

/// Axes for a factor, as an operand of `elements` elements would have it.
struct Wish {
  unsigned factor;
  Axes axes;
  unsigned operand;
  int64_t elements;
};

} // namespace

bool isTwofold(const graph::ShardingRule &rule, ArrayRef<Axes> factors, unsigned factor) {
  for (unsigned result = 0; result < rule.results.size(); ++result)
    for (auto [other, axes] : llvm::enumerate(factors)) {
      if (axes.empty())
        continue;
      std::optional<graph::ReductionKind> a = rule.partialKind(result, other);
      std::optional<graph::ReductionKind> b = rule.partialKind(result, factor);
      if (a && b && *a != *b)
        return true;
    }
  return false;
}

std::optional<unsigned> findStrided(const graph::ShardingRule &rule, ArrayRef<Axes> factors,
                                    sharding::MeshAttr grid) {
  for (ArrayRef<graph::TensorFactors> tensors : {ArrayRef(rule.operands), ArrayRef(rule.results)})
    for (const graph::TensorFactors &tensor : tensors)
      for (const graph::DimensionFactors &dimension : tensor) {
        bool isComplete = true;
        for (unsigned factor : dimension) {
          if (!isComplete && !factors[factor].empty())
            return factor;
          isComplete &= grid.sizeOf(factors[factor]) == rule.factors[factor].size;
        }
      }
  return std::nullopt;
}

FactorChoice chooseFactors(Operation *op, const graph::ShardingRule &rule, const OpLayouts &layouts,
                           ArrayRef<sharding::LayoutAttr> operands, sharding::MeshAttr grid) {
  SmallVector<Wish> wishes;
  for (auto [index, layout] : llvm::enumerate(operands)) {
    int64_t elements = cast<RankedTensorType>(op->getOperand(index).getType()).getNumElements();
    for (auto [factors, axes] : llvm::zip(rule.operands[index], layout.getDims()))
      for (auto &[factor, taken] : layouts.project(factors, axes.getAxes()))
        wishes.push_back({factor, taken, static_cast<unsigned>(index), elements});
  }
  llvm::stable_sort(wishes, [](const Wish &a, const Wish &b) { return a.elements > b.elements; });
  SmallVector<Axes> factors(rule.factors.size());
  SmallVector<unsigned> givers(rule.factors.size());
  for (const Wish &wish : wishes) {
    bool taken = !factors[wish.factor].empty() ||
                 rule.factors[wish.factor].kind == graph::FactorKind::Replicate;
    for (const Axes &axes : factors)
      taken |= overlap(axes, wish.axes);
    if (!taken && !isTwofold(rule, factors, wish.factor)) {
      factors[wish.factor] = wish.axes;
      givers[wish.factor] = wish.operand;
    }
  }
  while (std::optional<unsigned> strided = findStrided(rule, factors, grid))
    factors[*strided].clear();
  return {factors, givers};
}

} // namespace deepshard
