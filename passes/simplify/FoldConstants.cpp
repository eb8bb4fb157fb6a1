//===- FoldConstants.cpp - compute what depends on constants only -----------------------------===//
//
// Three walks over a block, O(ops) beside the arithmetic:
//   1. forwards: which ops can be evaluated (operands are constants or results of such ops);
//   2. backwards: which of them are read by an op that stays (they become constants), and which are
//   needed for those;
//   3. forwards: evaluate what is needed. A tensor is freed with its last reader, so memory is what
//   is alive at once.
//
//===------------------------------------------------------------------------------------------===//

#include "passes/simplify/Passes.h"

#include "dialects/graph/Graph.h"
#include "dialects/graph/Interpreter.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "passes/simplify/Match.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_FOLDCONSTANTSPASS
#include "passes/simplify/Passes.h.inc"

namespace {

/// Whether the value of `op` depends on a random counter, even on one that is known.
bool isRandom(Operation &op) {
  auto attention = dyn_cast<graph::AttentionOp>(op);
  return isa<graph::DropoutOp>(op) || (attention && attention.getCounter());
}

class Folder {
public:
  Folder(Block &block, int64_t maxBytes) : block(block), maxBytes(maxBytes) {}

  LogicalResult run() {
    for (Operation &op : block)
      if (canEvaluate(op))
        evaluable.insert(&op);
    for (Operation &op : llvm::reverse(block))
      if (evaluable.contains(&op))
        decide(op);
    for (Operation &op : llvm::make_early_inc_range(block))
      if (needed.contains(&op) && failed(evaluate(op)))
        return failure();
    return success();
  }

private:
  static int64_t bytesOf(Value value) {
    RankedTensorType type = tensorType(value);
    return type.getNumElements() * llvm::divideCeil(type.getElementTypeBitWidth(), 8);
  }

  bool canEvaluate(Operation &op) const {
    if (!isa<graph::EvaluableOpInterface, graph::DecomposableOpInterface>(op) || isRandom(op))
      return false;
    if (llvm::any_of(op.getResults(), [&](Value result) { return bytesOf(result) > maxBytes; }))
      return false;
    return llvm::all_of(op.getOperands(), [&](Value operand) {
      Operation *producer = operand.getDefiningOp();
      return producer && (isa<graph::ConstantOp>(producer) || evaluable.contains(producer));
    });
  }

  /// An op that is smaller than its result: worth folding only into others.
  static bool isGenerator(Operation &op) {
    return isa<graph::IotaOp>(op) || (isa<graph::BroadcastOp>(op) && !splatOf(op.getResult(0)));
  }

  void decide(Operation &op) {
    bool isRead = llvm::any_of(op.getUsers(), [&](Operation *user) {
      return !evaluable.contains(user) || staying.contains(user);
    });
    if (isRead)
      (isGenerator(op) ? staying : replaced).insert(&op);
    if (replaced.contains(&op) ||
        llvm::any_of(op.getUsers(), [&](Operation *user) { return needed.contains(user); }))
      needed.insert(&op);
  }

  LogicalResult evaluate(Operation &op) {
    SmallVector<graph::HostTensor> constants;
    constants.reserve(op.getNumOperands());
    SmallVector<const graph::HostTensor *> operands;
    for (Value operand : op.getOperands()) {
      if (auto constant = operand.getDefiningOp<graph::ConstantOp>())
        operands.push_back(&constants.emplace_back(graph::toHostTensor(constant.getValue())));
      else
        operands.push_back(&tensors.find(operand)->second);
    }
    FailureOr<SmallVector<graph::HostTensor>> results = graph::evaluateOp(&op, operands);
    if (failed(results))
      return failure();
    OpBuilder builder(&op);
    for (auto [result, tensor] : llvm::zip_equal(op.getResults(), *results)) {
      if (replaced.contains(&op))
        result.replaceAllUsesWith(
            graph::ConstantOp::create(builder, op.getLoc(), graph::toElements(tensor)));
      else
        tensors.try_emplace(result, std::move(tensor));
    }
    release(op);
    return success();
  }

  /// Forgets operands that no op after `op` needs.
  void release(Operation &op) {
    for (Value operand : llvm::SmallDenseSet<Value>(op.operand_begin(), op.operand_end())) {
      if (!tensors.contains(operand))
        continue;
      auto [readers, isNew] = readersLeft.try_emplace(operand, 0);
      if (isNew)
        readers->second = llvm::count_if(
            llvm::SmallDenseSet<Operation *>(operand.user_begin(), operand.user_end()),
            [&](Operation *user) { return needed.contains(user); });
      if (--readers->second == 0)
        tensors.erase(operand);
    }
  }

  Block &block;
  int64_t maxBytes;
  llvm::DenseSet<Operation *> evaluable, replaced, staying, needed;
  llvm::DenseMap<Value, graph::HostTensor> tensors;
  llvm::DenseMap<Value, int64_t> readersLeft;
};

struct FoldConstants : impl::FoldConstantsPassBase<FoldConstants> {
  using FoldConstantsPassBase::FoldConstantsPassBase;

  void runOnOperation() override {
    for (Block &block : getOperation().getBody())
      if (failed(Folder(block, maxBytes).run()))
        return signalPassFailure();
    eraseDeadOps(getOperation());
  }
};

} // namespace
} // namespace deepshard
