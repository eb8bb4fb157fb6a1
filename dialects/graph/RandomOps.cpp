//===- RandomOps.cpp - types and folds of random ops ------------------------------------------===//

#include "dialects/graph/Graph.h"
#include "dialects/graph/Inference.h"

using namespace mlir;

namespace deepshard::graph {

LogicalResult DropoutOp::inferReturnTypes(MLIRContext *, OptionalLocation location, Adaptor adaptor,
                                          SmallVectorImpl<Type> &types) {
  FailureOr<RankedTensorType> type = tensorType(location, "x", adaptor.getX());
  if (failed(type))
    return failure();
  types.push_back(*type);
  return success();
}

LogicalResult DropoutOp::verify() {
  double p = getP().convertToDouble();
  if (!(p >= 0.0 && p < 1.0))
    return emitOpError() << "p is " << p << "; expected 0 <= p < 1";
  return checkPart(getLoc(), "x", getX().getType().getShape(), getOffsets(), getGlobalShape());
}

void DropoutOp::build(OpBuilder &builder, OperationState &state, Value x, Value counter,
                      FloatAttr p, IntegerAttr id) {
  build(builder, state, x, counter, Value(), p, id, DenseI64ArrayAttr());
}

OpFoldResult DropoutOp::fold(FoldAdaptor) {
  return getP().isZero() ? OpFoldResult(getX()) : OpFoldResult();
}

} // namespace deepshard::graph
