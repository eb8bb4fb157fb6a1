//===- FactorChoice.cpp - which axes split the factors of an op -------------------------------===//

#include "passes/sharding/FactorChoice.h"

#include "dialects/graph/Graph.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

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

/// The factors of an op that are dimensions of results alone.
static bool isOfResultsOnly(const graph::ShardingRule &rule, unsigned factor) {
  return llvm::none_of(rule.operands, [&](const graph::TensorFactors &operand) {
    return graph::ShardingRule::has(operand, factor);
  });
}

/// The axes that split `factor` in what else `reader` reads but `value`.
static Axes axesBeside(OpOperand &value, const graph::ShardingRule &reader, unsigned factor,
                       llvm::function_ref<sharding::LayoutAttr(Value)> layoutOf,
                       FlatSymbolRefAttr mesh, sharding::MeshAttr grid) {
  Operation *op = value.getOwner();
  for (auto [index, operand] : llvm::enumerate(op->getOperands())) {
    std::optional<unsigned> dim = graph::ShardingRule::dimensionOf(reader.operands[index], factor);
    sharding::LayoutAttr layout = layoutOf(operand);
    if (!dim || !layout || operand == value.get())
      continue;
    OpLayouts layouts(op, reader, {}, mesh, grid);
    for (auto &[split, axes] : layouts.project(reader.operands[index][*dim], layout.getAxes(*dim)))
      if (split == factor)
        return axes;
  }
  return {};
}

/// The axes of dimension `dim` of a value where `use` returns it.
static Axes axesReturned(OpOperand &use, unsigned dim) {
  auto function = dyn_cast<func::FuncOp>(use.getOwner()->getParentOp());
  auto layout = function ? function.getResultAttrOfType<sharding::LayoutAttr>(
                               use.getOperandNumber(), sharding::kLayoutAttr)
                         : nullptr;
  return layout ? Axes(layout.getAxes(dim)) : Axes();
}

SmallVector<ReaderWish> wishesOfReaders(Operation *op, const graph::ShardingRule &rule,
                                        llvm::function_ref<sharding::LayoutAttr(Value)> layoutOf,
                                        FlatSymbolRefAttr mesh, sharding::MeshAttr grid) {
  SmallVector<ReaderWish> wishes;
  auto add = [&](unsigned factor, const Axes &axes) {
    if (!axes.empty() && rule.factors[factor].size % grid.sizeOf(axes) == 0)
      wishes.push_back({factor, axes});
  };
  for (OpResult result : op->getResults())
    for (auto [dim, factors] : llvm::enumerate(rule.results[result.getResultNumber()])) {
      if (factors.size() != 1 || !isOfResultsOnly(rule, factors[0]))
        continue;
      for (OpOperand &use : result.getUses()) {
        if (isa<func::ReturnOp>(use.getOwner()))
          add(factors[0], axesReturned(use, dim));
        auto ruled = dyn_cast<graph::ShardingRuleOpInterface>(use.getOwner());
        if (!ruled)
          continue;
        graph::ShardingRule reader = ruled.getShardingRule();
        ArrayRef<unsigned> read = reader.operands[use.getOperandNumber()][dim];
        if (read.size() == 1)
          add(factors[0], axesBeside(use, reader, read[0], layoutOf, mesh, grid));
      }
    }
  return wishes;
}

namespace {

/// Grants wishes, one after the other.
class Chooser {
public:
  Chooser(const graph::ShardingRule &rule, StringRef attention, sharding::MeshAttr grid)
      : rule(rule), attention(attention), grid(grid) {
    choice.factors.resize(rule.factors.size());
    choice.givers.resize(rule.factors.size());
    choice.home.resize(rule.factors.size());
  }

  void grant(const Wish &wish) {
    if (canSplit(wish) && !isTaken(wish.axes)) {
      choice.factors[wish.factor] = choice.home[wish.factor] = wish.axes;
      choice.givers[wish.factor] = wish.operand;
    }
  }

  /// A wish for the sequence of attention.
  void grantSequence(const Wish &wish) {
    if (isTaken(wish.axes))
      return;
    bool byHeads = attention == sharding::kUlysses, byRing = attention == sharding::kRing;
    std::optional<unsigned> other = otherOf(wish.factor);
    if (!byRing && other && splitInstead(wish, *other))
      return;
    if (byHeads)
      return refuseHeads(wish, other);
    if (byRing && rule.factors[wish.factor].kind == graph::FactorKind::Replicate)
      choice.refused = "keys and values cannot go round the ranks of " +
                       sharding::textOf(wish.axes) +
                       " as deepshard.attention \"ring\" asks: that takes as many queries as keys "
                       "and no mask along them; choose \"auto\" or \"ulysses\"";
    grant(wish);
  }

  /// Whether wishes for the factor are those of a sequence.
  bool isSequence(unsigned factor) const {
    return otherOf(factor) ||
           llvm::any_of(rule.rings, [&](const graph::Ring &ring) { return ring.factor == factor; });
  }

  FactorChoice take() {
    while (std::optional<unsigned> strided = findStrided(rule, choice.factors, grid)) {
      choice.factors[*strided].clear();
      choice.home[*strided].clear();
    }
    return std::move(choice);
  }

private:
  bool isTaken(const Axes &axes) const {
    return llvm::any_of(choice.factors, [&](const Axes &other) { return overlap(other, axes); });
  }

  bool canSplit(const Wish &wish) const {
    return choice.factors[wish.factor].empty() &&
           rule.factors[wish.factor].kind != graph::FactorKind::Replicate &&
           !isTwofold(rule, choice.factors, wish.factor);
  }

  std::optional<unsigned> otherOf(unsigned factor) const {
    for (const graph::Instead &entry : rule.instead)
      if (entry.factor == factor)
        return entry.other;
    return std::nullopt;
  }

  /// The axes of `other` with those of the wish behind them.
  Axes joined(const Wish &wish, unsigned other) const {
    Axes axes = choice.factors[other];
    llvm::append_range(axes, wish.axes);
    return Axes(grid.canonical(axes));
  }

  bool splitInstead(const Wish &wish, unsigned other) {
    Axes axes = joined(wish, other);
    if (rule.factors[other].size % grid.sizeOf(axes) != 0 || isTwofold(rule, choice.factors, other))
      return false;
    if (choice.factors[other].empty())
      choice.givers[other] = wish.operand;
    choice.factors[other] = axes;
    for (const graph::Instead &entry : rule.instead)
      if (entry.other == other && choice.home[entry.factor].empty() &&
          rule.factors[entry.factor].size % grid.sizeOf(wish.axes) == 0)
        choice.home[entry.factor] = wish.axes;
    return true;
  }

  void refuseHeads(const Wish &wish, std::optional<unsigned> other) {
    int64_t heads = other ? rule.factors[*other].size : 1;
    Axes axes = other ? joined(wish, *other) : wish.axes;
    choice.refused = std::to_string(heads) + " key/value head" + (heads == 1 ? "" : "s") +
                     (heads == 1 ? " does" : " do") + " not split over " + sharding::textOf(axes) +
                     " of size " + std::to_string(grid.sizeOf(axes)) +
                     " as deepshard.attention \"ulysses\" asks; choose sizes that divide them, or "
                     "\"auto\" or \"ring\"";
  }

  const graph::ShardingRule &rule;
  StringRef attention;
  sharding::MeshAttr grid;
  FactorChoice choice;
};

} // namespace

FactorChoice chooseFactors(Operation *op, const graph::ShardingRule &rule, const OpLayouts &layouts,
                           ArrayRef<sharding::LayoutAttr> operands, ArrayRef<ReaderWish> readers,
                           StringRef attention, sharding::MeshAttr grid) {
  SmallVector<Wish> wishes;
  for (auto [index, layout] : llvm::enumerate(operands)) {
    int64_t elements = cast<RankedTensorType>(op->getOperand(index).getType()).getNumElements();
    for (auto [factors, axes] : llvm::zip(rule.operands[index], layout.getDims()))
      for (auto &[factor, taken] : layouts.project(factors, axes.getAxes()))
        wishes.push_back({factor, taken, static_cast<unsigned>(index), elements});
  }
  for (const ReaderWish &wish : readers)
    wishes.push_back({wish.factor, wish.axes, op->getNumOperands(), 0});
  llvm::stable_sort(wishes, [](const Wish &a, const Wish &b) { return a.elements > b.elements; });
  Chooser chooser(rule, attention, grid);
  for (const Wish &wish : wishes)
    if (!chooser.isSequence(wish.factor))
      chooser.grant(wish);
  for (const Wish &wish : wishes)
    if (chooser.isSequence(wish.factor))
      chooser.grantSequence(wish);
  return chooser.take();
}

StringRef attentionOf(Operation *op) {
  auto mode = op->getParentOfType<ModuleOp>()->getAttrOfType<StringAttr>(sharding::kAttentionAttr);
  return mode ? mode.getValue() : StringRef(sharding::kAuto);
}

} // namespace deepshard
