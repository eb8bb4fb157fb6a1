//===- CheapRecompute.cpp - what is cheaper to compute again than to keep ---------------------===//
//
// A minimum cut. Each result of a forward op is a node, "the backward has to have it", and each op
// is one, "it is computed again"; true is the side of the source.
//
//   source -> value   forbidden     the backward reads it
//   value -> op       its bytes     it is had, but its op is not computed again: it is kept
//   op -> operand     forbidden     who computes again has to have the operands
//   op -> sink        bytes moved   the price; forbidden for contractions
//
// A table counts whole, however few rows are taken: where parameters are split it is gathered
// again.
//
// A view is never kept for itself, its bytes are those of what it shows, and costs nothing.
// Arguments and constants are there anyway and have no nodes. (Min-cut rematerialisation as in
// PyTorch's AOTAutograd, with a price on what is computed again.)
//
// O(ops + operands) nodes and edges.
//
//===------------------------------------------------------------------------------------------===//

#include "passes/planner/CheapRecompute.h"

#include "passes/planner/MinimumCut.h"
#include "passes/planner/SavedValues.h"

using namespace mlir;

namespace deepshard {

/// Whether something is summed over that two operands share and no result has: as many products for
/// each element of the result.
static bool isContraction(Operation *op) {
  auto ruled = dyn_cast<graph::ShardingRuleOpInterface>(op);
  if (!ruled)
    return false;
  const graph::ShardingRule rule = ruled.getShardingRule();
  return llvm::any_of(llvm::seq<unsigned>(rule.factors.size()), [&](unsigned factor) {
    auto has = [&](const graph::TensorFactors &tensor) {
      return graph::ShardingRule::has(tensor, factor);
    };
    return llvm::count_if(rule.operands, has) > 1 && llvm::none_of(rule.results, has);
  });
}

/// Bytes that are moved to compute `op` again, all of its operands included; none for a view.
static int64_t bytesMoved(Operation *op, const LocalSizes &sizes) {
  const graph::OpCost cost = sizes.cost(op);
  int64_t read = 0;
  for (Value operand : op->getOperands())
    read += sizes.bytes(operand);
  return cost.bytesWritten + (cost.bytesRead == 0 ? 0 : std::max(cost.bytesRead, read));
}

SmallVector<Operation *> cheapToRecompute(func::FuncOp function, int64_t movedPerKept) {
  const LocalSizes sizes(function);
  FlowNetwork network;
  llvm::DenseMap<Value, size_t> values;
  SmallVector<std::pair<Operation *, size_t>> ops;
  for (Operation &op : function.getBody().front().without_terminator()) {
    if (!isForward(&op) || op.hasTrait<OpTrait::ConstantLike>())
      continue;
    const size_t node = network.addNode();
    ops.push_back({&op, node});
    network.addEdge(node, FlowNetwork::kSink, isContraction(&op) ? kUncut : bytesMoved(&op, sizes));
    for (Value operand : op.getOperands())
      if (auto it = values.find(operand); it != values.end())
        network.addEdge(node, it->second, kUncut);
    for (Value result : op.getResults()) {
      const size_t value = values[result] = network.addNode();
      network.addEdge(value, node,
                      graph::isView(&op) ? kUncut : sizes.bytes(result) * movedPerKept);
      if (llvm::any_of(result.getUsers(), isBackward))
        network.addEdge(FlowNetwork::kSource, value, kUncut);
    }
  }
  const FlowNetwork::Cut cut = network.minimize();
  SmallVector<Operation *> again;
  for (auto [op, node] : ops)
    if (cut.isSource[node])
      again.push_back(op);
  return again;
}

} // namespace deepshard
