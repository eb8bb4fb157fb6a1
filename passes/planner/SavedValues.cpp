//===- SavedValues.cpp - what the forward leaves for the backward -----------------------------===//

#include "passes/planner/SavedValues.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace deepshard {

static bool isIn(Operation *op, StringRef phase) {
  auto attribute = op->getAttrOfType<StringAttr>(graph::kPhaseAttr);
  return attribute && attribute.getValue() == phase;
}

bool isForward(Operation *op) { return isIn(op, "forward"); }
bool isBackward(Operation *op) { return isIn(op, "backward"); }

SavedValues savedValues(func::FuncOp function, bool honoursMarks) {
  SavedValues saved;
  auto read = [&](Value value) {
    Operation *maker = value.getDefiningOp();
    // A view that is not computed again is the bytes of what it shows.
    while (maker && graph::isView(maker) &&
           !(honoursMarks && maker->hasAttr(graph::kRecomputeAttr))) {
      value = maker->getOperand(0);
      maker = value.getDefiningOp();
    }
    if (!maker || !isForward(maker) || maker->hasTrait<OpTrait::ConstantLike>())
      return;
    if (honoursMarks && maker->hasAttr(graph::kRecomputeAttr))
      saved.recomputed.insert(maker);
    else
      saved.kept.insert(value);
  };
  for (Operation &op : function.getBody().front().without_terminator())
    if (isBackward(&op))
      llvm::for_each(op.getOperands(), read);
  for (size_t next = 0; next < saved.recomputed.size(); ++next)
    llvm::for_each(saved.recomputed[next]->getOperands(), read);
  return saved;
}

static int64_t bytesOf(RankedTensorType type) {
  return type.getNumElements() * llvm::divideCeil(type.getElementTypeBitWidth(), 8);
}

LocalSizes::LocalSizes(Operation *from) {
  if (sharding::MeshOp meshOp = sharding::onlyMesh(from))
    mesh = meshOp.getAxes();
}

int64_t LocalSizes::bytes(Value value) const {
  auto type = cast<RankedTensorType>(value.getType());
  sharding::LayoutAttr layout = mesh ? sharding::layoutOf(value) : nullptr;
  return bytesOf(layout ? layout.localType(mesh, type) : type);
}

graph::OpCost LocalSizes::cost(Operation *op) const {
  graph::OpCost cost;
  if (graph::isView(op))
    return cost;
  auto counted = dyn_cast<graph::CostOpInterface>(op);
  cost = counted ? counted.getCost() : graph::elementwiseCost(op);
  Value result = op->getResult(0);
  const int64_t whole = bytesOf(cast<RankedTensorType>(result.getType()));
  if (whole == 0)
    return cost;
  const double share = static_cast<double>(bytes(result)) / static_cast<double>(whole);
  for (int64_t *number : {&cost.flops, &cost.bytesRead, &cost.bytesWritten})
    *number = static_cast<int64_t>(share * static_cast<double>(*number));
  return cost;
}

} // namespace deepshard
