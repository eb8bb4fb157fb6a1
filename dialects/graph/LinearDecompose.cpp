//===- LinearDecompose.cpp - linear as primitives ---------------------------------------------===//

#include "dialects/graph/PrimitiveBuilder.h"

using namespace mlir;

namespace deepshard::graph {

FailureOr<SmallVector<Value>> LinearOp::decompose(OpBuilder &builder) {
  PrimitiveBuilder b(builder, getLoc());
  int64_t last = getX().getType().getRank() - 1;
  int64_t contract = getTransposeWeight() ? getWeight().getType().getRank() - 1 : 0;
  Value y = b.matmul(getX(), getWeight(), {}, last, contract);
  if (getBias())
    y = b.add(y, getBias());
  return SmallVector<Value>{y};
}

} // namespace deepshard::graph
