//===- ReductionVjp.cpp - gradients of reductions ---------------------------------------------===//

#include "dialects/graph/Graph.h"
#include "dialects/graph/VjpBuilder.h"

#include "llvm/ADT/Sequence.h"

using namespace mlir;

namespace deepshard::graph {

/// A value without the reduced dimensions (but for `keep_dims`), repeated over them.
template <typename Op> static Value repeated(Op op, VjpBuilder &vjp, Value value) {
  auto type = cast<RankedTensorType>(op.getX().getType());
  SmallVector<int64_t> kept;
  for (int64_t dim : llvm::seq(type.getRank()))
    if (op.getKeepDims() || !llvm::is_contained(op.getDims(), dim))
      kept.push_back(dim);
  return vjp.make<BroadcastOp>(type, value, kept);
}

LogicalResult ReduceSumOp::buildVjp(VjpBuilder &vjp) {
  vjp.add(0, repeated(*this, vjp, vjp.cotangent(0)));
  return success();
}

/// dx = dy softmax(x).
LogicalResult ReduceLogSumExpOp::buildVjp(VjpBuilder &vjp) {
  Value below = vjp.make<SubOp>(getX(), repeated(*this, vjp, getResult()));
  Value softmax = vjp.make<ExpOp>(getX().getType(), below);
  vjp.add(0, vjp.make<MulOp>(softmax, repeated(*this, vjp, vjp.cotangent(0))));
  return success();
}

} // namespace deepshard::graph
