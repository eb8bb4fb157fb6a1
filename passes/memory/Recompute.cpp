//===- Recompute.cpp - marked values are computed again in the backward -----------------------===//
//
// State: for each marked op that the backward has needed so far, the results of its clone.
// Invariant: no backward op in front of the current one reads the result of a marked op. The walk
// over the backward clones in front of each op what that needs and has no clone yet, in the order
// of the forward: the order in which the forward kept few values alive. O(ops + operands), but for
// sorting what is cloned at one place.
//
//===------------------------------------------------------------------------------------------===//

#include "passes/memory/Passes.h"

#include "dialects/graph/Graph.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_RECOMPUTE
#include "passes/memory/Passes.h.inc"

namespace {

bool isMarked(Operation *op) { return op && op->hasAttr(graph::kRecomputeAttr); }

struct RecomputePass : impl::RecomputeBase<RecomputePass> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal())
      return;
    auto backward = StringAttr::get(&getContext(), "backward");
    SmallVector<Operation *> marked, readers;
    for (auto [position, op] : llvm::enumerate(function.getBody().front())) {
      positions[&op] = position;
      if (isMarked(&op))
        marked.push_back(&op);
      else if (op.getAttr(graph::kPhaseAttr) == backward)
        readers.push_back(&op);
    }
    for (Operation *reader : readers)
      provide(reader);
    for (Operation *op : llvm::reverse(marked)) {
      if (op->use_empty())
        op->erase();
      else
        op->removeAttr(graph::kRecomputeAttr);
    }
  }

private:
  /// Lets `reader` read clones, made in front of it where there are none.
  void provide(Operation *reader) {
    llvm::SetVector<Operation *> needed;
    need(reader, needed);
    for (size_t next = 0; next < needed.size(); ++next)
      need(needed[next], needed);
    SmallVector<Operation *> inOrder = needed.takeVector();
    llvm::sort(inOrder, [&](Operation *a, Operation *b) { return positions[a] < positions[b]; });
    OpBuilder builder(reader);
    for (Operation *op : inOrder) {
      Operation *clone = builder.clone(*op, clones);
      clone->removeAttr(graph::kRecomputeAttr);
      clone->setAttr(graph::kPhaseAttr, reader->getAttr(graph::kPhaseAttr));
    }
    for (OpOperand &operand : reader->getOpOperands())
      operand.set(clones.lookupOrDefault(operand.get()));
  }

  /// Adds the marked ops of which `op` reads a result and that have no clone yet.
  void need(Operation *op, llvm::SetVector<Operation *> &needed) {
    for (Value operand : op->getOperands())
      if (isMarked(operand.getDefiningOp()) && !clones.contains(operand))
        needed.insert(operand.getDefiningOp());
  }

  llvm::DenseMap<Operation *, size_t> positions;
  IRMapping clones; // of results of marked ops
};

} // namespace
} // namespace deepshard
