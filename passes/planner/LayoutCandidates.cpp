//===- LayoutCandidates.cpp - the ways in which an op can be split ----------------------------===//

#include "passes/planner/LayoutCandidates.h"

#include "passes/sharding/FactorChoice.h"

using namespace mlir;

namespace deepshard {

using sharding::AxisRefAttr;
using sharding::LayoutAttr;

namespace {

class Enumeration {
public:
  Enumeration(Operation *op, const graph::ShardingRule &rule, const FixedSplit &fixed,
              ArrayRef<AxisRefAttr> free, FlatSymbolRefAttr mesh, sharding::MeshAttr grid)
      : op(op), rule(rule), fixed(fixed), free(free), mesh(mesh), grid(grid),
        factors(fixed.factors) {}

  SmallVector<Candidate> run() {
    splitFrom(0);
    return std::move(candidates);
  }

private:
  /// Tries all places of the free axes from `index` on.
  void splitFrom(size_t index) {
    if (index == free.size())
      return finish();
    idle.push_back(free[index]);
    splitFrom(index + 1);
    idle.pop_back();
    for (unsigned factor = 0; factor < rule.factors.size(); ++factor) {
      if (rule.factors[factor].kind == graph::FactorKind::Replicate ||
          isTwofold(rule, factors, factor))
        continue;
      factors[factor].push_back(free[index]);
      if (rule.factors[factor].size % grid.sizeOf(factors[factor]) == 0)
        splitFrom(index + 1);
      factors[factor].pop_back();
    }
  }

  /// Adds the split at hand, with every set of idle axes that can carry summands.
  void finish() {
    if (findStrided(rule, factors, grid))
      return;
    add(fixed.operands);
    for (const graph::PartialOperands &set : rule.partial)
      if (llvm::is_contained(set.kinds, graph::ReductionKind::Sum))
        for (unsigned chosen = 1; chosen < 1U << idle.size(); ++chosen)
          addPartial(set, chosen);
  }

  void addPartial(const graph::PartialOperands &set, unsigned chosen) {
    SmallVector<LayoutAttr> operands(fixed.operands);
    for (unsigned operand : set.operands) {
      Axes axes(operands[operand].getPartialAxes());
      for (size_t i = 0; i < idle.size(); ++i)
        if (chosen >> i & 1)
          axes.push_back(idle[i]);
      operands[operand] = operands[operand].withPartial(sharding::PartialAttr::get(
          grid.getContext(), sharding::Reduction::Sum, grid.inMeshOrder(axes)));
    }
    OpLayouts layouts(op, rule, operands, mesh, grid);
    const graph::PartialOperands *passing = layouts.passing(factors);
    if (passing && *passing == set)
      add(operands);
  }

  void add(ArrayRef<LayoutAttr> operands) {
    OpLayouts layouts(op, rule, operands, mesh, grid);
    Candidate candidate;
    candidate.factors = factors;
    for (unsigned index = 0; index < op->getNumOperands(); ++index)
      candidate.operands.push_back(layouts.operandLayout(index, factors));
    for (unsigned index = 0; index < op->getNumResults(); ++index)
      candidate.results.push_back(layouts.resultLayout(index, factors));
    candidates.push_back(std::move(candidate));
  }

  Operation *op;
  const graph::ShardingRule &rule;
  const FixedSplit &fixed;
  ArrayRef<AxisRefAttr> free;
  FlatSymbolRefAttr mesh;
  sharding::MeshAttr grid;
  SmallVector<Axes> factors;
  Axes idle; // free axes that split nothing
  SmallVector<Candidate> candidates;
};

} // namespace

SmallVector<Candidate> candidatesOf(Operation *op, const graph::ShardingRule &rule,
                                    const FixedSplit &fixed, ArrayRef<AxisRefAttr> free,
                                    FlatSymbolRefAttr mesh, sharding::MeshAttr grid) {
  return Enumeration(op, rule, fixed, free, mesh, grid).run();
}

} // namespace deepshard
