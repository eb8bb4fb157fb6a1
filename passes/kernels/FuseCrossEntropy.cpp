//===- FuseCrossEntropy.cpp - a loss and its gradient from one pass over the logits -----------===//
//
// For every cross_entropy its gradient op is looked at, and what that needs. O(ops) a loss.
//
//===------------------------------------------------------------------------------------------===//

#include "passes/kernels/Passes.h"

#include "dialects/graph/Graph.h"
#include "dialects/graph/KernelAttrs.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_FUSECROSSENTROPYPASS
#include "passes/kernels/Passes.h.inc"

namespace {

/// Whether both are computed by equal ops from the same values; the backward computes cheap ones
/// again.
bool areEqual(Value a, Value b) {
  if (a == b)
    return true;
  Operation *one = a.getDefiningOp(), *other = b.getDefiningOp();
  return one && other && isMemoryEffectFree(one) &&
         cast<OpResult>(a).getResultNumber() == cast<OpResult>(b).getResultNumber() &&
         OperationEquivalence::isEquivalentTo(
             one, other, [](Value x, Value y) { return success(areEqual(x, y)); }, nullptr,
             OperationEquivalence::Flags::IgnoreLocations |
                 OperationEquivalence::Flags::IgnoreDiscardableAttrs);
}

/// The only reader of `lse`, if it is the gradient from the same operands.
graph::CrossEntropyGradOp gradientOf(graph::CrossEntropyOp loss) {
  if (!loss.getLse().hasOneUse())
    return nullptr;
  auto grad = dyn_cast<graph::CrossEntropyGradOp>(*loss.getLse().user_begin());
  const bool isOfLoss = grad && grad.getLse() == loss.getLse() &&
                        grad.getLogits() == loss.getLogits() &&
                        grad.getIgnoreIndex() == loss.getIgnoreIndex() &&
                        areEqual(grad.getTarget(), loss.getTarget());
  return isOfLoss ? grad : nullptr;
}

/// The ops behind `loss`, in their order, that `value` is computed by; nothing if it depends on the
/// loss. What depends on how many rows count does not.
std::optional<SmallVector<Operation *>> opsBehind(graph::CrossEntropyOp loss, Value value) {
  llvm::SetVector<Operation *> ops;
  SmallVector<Value> work = {value};
  while (!work.empty()) {
    Value next = work.pop_back_val();
    Operation *maker = next.getDefiningOp();
    if (next == loss.getLossSum() || next == loss.getLse())
      return std::nullopt;
    if (maker && maker != loss && loss->isBeforeInBlock(maker) && ops.insert(maker))
      llvm::append_range(work, maker->getOperands());
  }
  SmallVector<Operation *> ordered = ops.takeVector();
  llvm::sort(ordered, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  return ordered;
}

struct FuseCrossEntropy : impl::FuseCrossEntropyPassBase<FuseCrossEntropy> {
  void runOnOperation() override {
    SmallVector<graph::CrossEntropyOp> losses(getOperation().getOps<graph::CrossEntropyOp>());
    for (graph::CrossEntropyOp loss : losses)
      if (graph::CrossEntropyGradOp grad = gradientOf(loss))
        fuse(loss, grad);
  }

private:
  /// The only reader of the gradient comes behind it if it is element-wise and can: the mask of a
  /// vocabulary that was padded. And so on.
  static void moveReaders(Value gradient) {
    while (gradient.hasOneUse()) {
      Operation *maker = gradient.getDefiningOp(), *reader = *gradient.user_begin();
      auto evaluable = dyn_cast<graph::EvaluableOpInterface>(reader);
      SmallVector<Operation *> constants;
      const bool canMove = llvm::all_of(reader->getOperands(), [&](Value operand) {
        Operation *other = operand.getDefiningOp();
        if (operand == gradient || !other || other->isBeforeInBlock(maker))
          return true;
        constants.push_back(other);
        return other->hasTrait<OpTrait::ConstantLike>();
      });
      if (!evaluable || !evaluable.isElementwise() || !canMove)
        return;
      for (Operation *constant : constants)
        constant->moveBefore(maker);
      reader->moveAfter(maker);
      gradient = reader->getResult(0);
    }
  }

  static void fuse(graph::CrossEntropyOp loss, graph::CrossEntropyGradOp grad) {
    std::optional<SmallVector<Operation *>> slope = opsBehind(loss, grad.getDlossSum());
    if (!slope)
      return;
    Operation *before = loss->getPrevNode();
    OpBuilder builder(loss);
    if (!loss.getCount().use_empty())
      loss.getCount().replaceAllUsesWith(loss.buildCount(builder));
    for (Operation *op : *slope)
      op->moveBefore(loss);
    auto both = graph::CrossEntropyWithGradOp::create(builder, loss.getLoc(), loss.getLogits(),
                                                      loss.getTarget(), grad.getDlossSum(),
                                                      loss.getIgnoreIndex());
    grad.replaceAllUsesWith(both.getDlogits());
    moveReaders(both.getDlogits());
    // All of it is computed where the loss was.
    Operation *op = before ? before->getNextNode() : &loss->getBlock()->front();
    for (; op != loss; op = op->getNextNode())
      for (StringRef name : {graph::kPhaseAttr, graph::kChunkAttr}) {
        op->removeAttr(name);
        if (Attribute attribute = loss->getAttr(name))
          op->setAttr(name, attribute);
      }
    loss.getLossSum().replaceAllUsesWith(both.getLossSum());
    grad.erase();
    loss.erase();
  }
};

} // namespace
} // namespace deepshard
