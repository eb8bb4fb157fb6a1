//===- FuseAccumulation.cpp - products that are added to a sum are computed into it -----------===//
//
// One walk over the sums of a function. O(ops), as a product is part of one chain of sums.
//
//===------------------------------------------------------------------------------------------===//

#include "passes/kernels/Passes.h"

#include "dialects/graph/Graph.h"
#include "dialects/sharding/Sharding.h"
#include "passes/kernels/KernelSpecs.h"
#include "passes/kernels/ProviderCache.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_FUSEACCUMULATIONPASS
#include "passes/kernels/Passes.h.inc"

namespace {

bool isBackward(Operation *op) {
  auto phase = op->getAttrOfType<StringAttr>(graph::kPhaseAttr);
  return phase && phase.getValue() == "backward";
}

/// Whether `sum` is on its way out of the function, as the gradient of a parameter is: nothing is
/// computed from it but sums, scaled copies and what is reduced over ranks.
bool isGradient(graph::AddOp sum) {
  SmallVector<Operation *> work = {sum};
  while (!work.empty()) {
    Operation *op = work.pop_back_val();
    auto evaluable = dyn_cast<graph::EvaluableOpInterface>(op);
    if (op->hasTrait<OpTrait::IsTerminator>())
      continue;
    if (!isa<sharding::ShardingDialect>(op->getDialect()) && !graph::isView(op) &&
        !(evaluable && evaluable.isElementwise()))
      return false;
    llvm::append_range(work, op->getUsers());
  }
  return true;
}

struct FuseAccumulation : impl::FuseAccumulationPassBase<FuseAccumulation> {
  using FuseAccumulationPassBase::FuseAccumulationPassBase;

  void runOnOperation() override {
    answers = {};
    SmallVector<graph::AddOp> sums(getOperation().getOps<graph::AddOp>());
    for (graph::AddOp sum : sums) {
      Value a = sum.getLhs(), b = sum.getRhs();
      if (isBackward(sum) && isGradient(sum) && !tryToFuse(sum, b, a) && !tryToFuse(sum, a, b) &&
          !tryToBegin(sum, b, a))
        tryToBegin(sum, a, b);
    }
  }

  /// Lets products that are accumulated one after another begin with the other operand of the sum
  /// that they are added to: a + (b + c) becomes (a + b) + c.
  bool tryToBegin(graph::AddOp sum, Value products, Value accumulator) {
    Operation *first = nullptr; // that is accumulated
    Value begin = products;
    while (Operation *op = begin.hasOneUse() ? begin.getDefiningOp() : nullptr) {
      if (!accumulatedBy(op))
        break;
      first = op;
      begin = kernelOperands(op).back();
    }
    Operation *before = accumulator.getDefiningOp(), *root = begin.getDefiningOp();
    if (!first || !root || (before && !before->isBeforeInBlock(root)))
      return false;
    Operation *place = sum->getPrevNode();
    SmallVector<Value> operands(sum->getOperands());
    sum.getResult().replaceAllUsesWith(products);
    first->replaceUsesOfWith(begin, sum.getResult());
    sum->setOperands({accumulator, begin});
    sum->moveAfter(root);
    if (tryToFuse(sum, begin, accumulator))
      return true;
    sum->moveAfter(place);
    first->replaceUsesOfWith(sum.getResult(), begin);
    sum->setOperands(operands);
    products.replaceAllUsesExcept(sum.getResult(), sum);
    return false;
  }

  bool tryToFuse(graph::AddOp sum, Value product, Value accumulator) {
    Operation *op = product.getDefiningOp(), *before = accumulator.getDefiningOp();
    if (!op || !isBackward(op) || !op->hasAttr(graph::kProviderAttr) || !product.hasOneUse() ||
        !accumulator.hasOneUse() || accumulator.getType() != product.getType() ||
        (before && !before->isBeforeInBlock(op)))
      return false;
    auto provider = op->removeAttr(graph::kProviderAttr);
    Attribute own = sum->getAttr(graph::kProviderAttr);
    sum->setAttr(graph::kProviderAttr, provider);
    const runtime::KernelProvider *library = plannedProvider(cast<StringAttr>(provider).getValue());
    if (accumulatedBy(sum) == op && library &&
        !answers.ask(*library, contiguousSpec(sum, threads)).whyNot) {
      sum->moveAfter(op);
      return true;
    }
    op->setAttr(graph::kProviderAttr, provider);
    sum->setAttr(graph::kProviderAttr, own);
    return false;
  }

  ProviderCache answers;
};

} // namespace
} // namespace deepshard
