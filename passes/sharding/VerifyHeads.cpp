//===- VerifyHeads.cpp - pins that attention cannot follow ------------------------------------===//
//
// A projection of attention whose columns are split is split by heads. If these do not divide, it
// would be gathered on every rank, which undoes what the user asked for.
//
// From each operand of attention back through elementwise and layout ops (rotary embeddings,
// repeated key/value heads, fused projections) to the linear ops that make it. O(ops x attentions)
// at most; in practice the ops between projection and attention.
//
//===------------------------------------------------------------------------------------------===//

#include "passes/sharding/Passes.h"

#include "dialects/graph/Graph.h"
#include "dialects/sharding/Sharding.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringSet.h"

#include <numeric>

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_VERIFYHEADS
#include "passes/sharding/Passes.h.inc"

namespace {

using sharding::AxisListAttr;

bool keepsColumns(Operation *op) {
  auto evaluable = dyn_cast<graph::EvaluableOpInterface>(op);
  return (evaluable && evaluable.isElementwise()) ||
         isa<graph::ReshapeOp, graph::TransposeOp, graph::SliceOp, graph::BroadcastOp,
             graph::ConcatOp>(op);
}

SmallVector<graph::LinearOp> projectionsBehind(Value value) {
  llvm::SetVector<Operation *> seen;
  SmallVector<graph::LinearOp> projections;
  auto add = [&](Value operand) {
    if (Operation *op = operand.getDefiningOp())
      seen.insert(op);
  };
  add(value);
  for (size_t i = 0; i < seen.size(); ++i) {
    if (auto linear = dyn_cast<graph::LinearOp>(seen[i]))
      projections.push_back(linear);
    else if (keepsColumns(seen[i]))
      llvm::for_each(seen[i]->getOperands(), add);
  }
  return projections;
}

struct VerifyHeadsPass : impl::VerifyHeadsBase<VerifyHeadsPass> {
  void runOnOperation() override {
    sharding::MeshOp meshOp = sharding::onlyMesh(getOperation()->getParentOfType<ModuleOp>());
    if (!meshOp)
      return;
    grid = meshOp.getAxes();
    getOperation().walk([&](graph::AttentionOp op) { verify(op); });
    if (!said.empty())
      signalPassFailure();
    markAllAnalysesPreserved();
  }

  /// Heads that the columns of a projection hold for one of its readers: behind it they may be
  /// repeated, and a fused projection holds those of others too.
  static int64_t headsOf(graph::LinearOp projection, Value operand) {
    auto type = cast<RankedTensorType>(operand.getType());
    int64_t heads = type.getDimSize(1), width = type.getDimSize(3);
    int64_t columns = cast<RankedTensorType>(projection.getResult().getType()).getShape().back();
    return columns % width == 0 ? std::min(heads, columns / width) : heads;
  }

  AxisListAttr columnAxes(graph::LinearOp projection) {
    auto weight = dyn_cast<BlockArgument>(projection.getWeight());
    sharding::LayoutAttr layout = weight ? sharding::layoutOf(weight) : nullptr;
    return layout ? layout.getDims()[projection.getTransposeWeight() ? 0 : 1] : nullptr;
  }

  void verify(graph::AttentionOp attention) {
    int64_t queries = attention.getQ().getType().getDimSize(1), keys = queries;
    AxisListAttr uneven;
    for (Value operand : {attention.getQ(), attention.getK(), attention.getV()})
      for (graph::LinearOp projection : projectionsBehind(operand)) {
        int64_t heads = headsOf(projection, operand);
        keys = std::min(keys, heads);
        AxisListAttr axes = columnAxes(projection);
        if (axes && heads % grid.sizeOf(axes.getAxes()) != 0)
          uneven = axes;
      }
    if (uneven)
      report(attention, queries, keys, uneven);
  }

  /// Layers are alike: what was said of one is not said again.
  void report(graph::AttentionOp attention, int64_t queries, int64_t keys, AxisListAttr axes) {
    std::string text = std::to_string(queries) + " heads";
    if (keys != queries)
      text += " with " + std::to_string(keys) + " key/value heads";
    text += " do not split over " + sharding::textOf(axes.getAxes()) + " of size " +
            std::to_string(grid.sizeOf(axes.getAxes())) + "; choose a size that divides them: 1";
    for (int64_t size = 2; size <= keys; ++size)
      if (std::gcd(queries, keys) % size == 0)
        text += ", " + std::to_string(size);
    if (said.insert(text).second)
      attention.emitError(text);
  }

  sharding::MeshAttr grid;
  llvm::StringSet<> said;
};

} // namespace
} // namespace deepshard
