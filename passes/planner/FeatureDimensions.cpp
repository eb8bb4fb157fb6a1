//===- FeatureDimensions.cpp - which dimensions of a weight are input and output features -----===//

#include "passes/planner/FeatureDimensions.h"

#include "dialects/graph/Graph.h"
#include "passes/planner/SavedValues.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;

namespace deepshard {

namespace {

/// Of a parameter alone: the parameter or a view of it.
bool isWeight(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (op->getNumOperands() != 1)
      return false;
    value = op->getOperand(0);
  }
  auto argument = cast<BlockArgument>(value);
  auto function = dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp());
  return function && function.getArgAttr(argument.getArgNumber(), graph::kParameterAttr);
}

class Finder {
public:
  FeatureDimensions run(BlockArgument parameter) {
    SmallVector<SmallVector<unsigned>> own; // per dimension of a value, those of the parameter
    for (unsigned dim = 0; dim < cast<RankedTensorType>(parameter.getType()).getRank(); ++dim)
      own.push_back({dim});
    follow(parameter, own);
    for (auto *dims : {&found.input, &found.output}) {
      llvm::sort(*dims);
      dims->erase(llvm::unique(*dims), dims->end());
    }
    return std::move(found);
  }

private:
  using Origins = SmallVector<SmallVector<unsigned>>;

  void follow(Value value, const Origins &own) {
    for (OpOperand &use : value.getUses()) {
      auto ruled = dyn_cast<graph::ShardingRuleOpInterface>(use.getOwner());
      if (!ruled || isBackward(use.getOwner()))
        continue;
      const graph::ShardingRule rule = ruled.getShardingRule();
      if (use.getOwner()->getNumOperands() == 1)
        followView(use, rule, own);
      else
        read(use, rule, own);
    }
  }

  void followView(OpOperand &use, const graph::ShardingRule &rule, const Origins &own) {
    for (OpResult result : use.getOwner()->getResults()) {
      const graph::TensorFactors &to = rule.results[result.getResultNumber()];
      Origins origins(to.size());
      for (auto [dim, factors] : llvm::enumerate(rule.operands.front()))
        for (unsigned factor : factors)
          if (std::optional<unsigned> place = graph::ShardingRule::dimensionOf(to, factor))
            llvm::append_range(origins[*place], own[dim]);
      follow(result, origins);
    }
  }

  void read(OpOperand &use, const graph::ShardingRule &rule, const Origins &own) {
    Operation *op = use.getOwner();
    for (auto [dim, factors] : llvm::enumerate(rule.operands[use.getOperandNumber()]))
      for (unsigned factor : factors) {
        auto has = [&](const graph::TensorFactors &tensor) {
          return graph::ShardingRule::has(tensor, factor);
        };
        const bool isOfActivation = llvm::any_of(op->getOpOperands(), [&](OpOperand &other) {
          return has(rule.operands[other.getOperandNumber()]) && !isWeight(other.get());
        });
        if (llvm::none_of(rule.results, has))
          llvm::append_range(found.input, own[dim]);
        else if (!isOfActivation)
          llvm::append_range(found.output, own[dim]);
      }
  }

  FeatureDimensions found;
};

} // namespace

FeatureDimensions featureDimensions(BlockArgument parameter) { return Finder().run(parameter); }

} // namespace deepshard
