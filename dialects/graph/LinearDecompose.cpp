//===- LinearDecompose.cpp - linear as primitives ---------------------------------------------===//

#include "dialects/graph/PrimitiveBuilder.h"

using namespace mlir;

namespace deepshard::graph {

FailureOr<SmallVector<Value>> LinearOp::decompose(OpBuilder &builder) {
  PrimitiveBuilder b(builder, getLoc());
  int64_t last = getX().getType().getRank() - 1;
  int64_t contract = getTransposeWeight() ? getWeight().getType().getRank() - 1 : 0;
  Type type = b.elementTypeOf(getX());
  if (!getBias())
    return SmallVector<Value>{b.matmul(getX(), getWeight(), {}, last, contract)};
  // The bias is added before the sum is rounded.
  Type sums = accumulationType(type);
  Value y = b.matmul(getX(), getWeight(), {}, last, contract, sums);
  return SmallVector<Value>{b.convert(b.add(y, b.convert(getBias(), sums)), type)};
}

} // namespace deepshard::graph
