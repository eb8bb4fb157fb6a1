//===- UpdateOps.cpp - types and costs of the gradient norm, optimizers and the loss scale
//-----===//

#include "dialects/graph/Graph.h"
#include "dialects/graph/Inference.h"

using namespace mlir;

namespace deepshard::graph {

LogicalResult SumSquaresOp::inferReturnTypes(MLIRContext *context, OptionalLocation location,
                                             Adaptor adaptor, SmallVectorImpl<Type> &types) {
  FailureOr<RankedTensorType> type = tensorType(location, "x", adaptor.getX());
  if (failed(type) || failed(checkRank(location, "x", *type, 1)))
    return failure();
  types.push_back(RankedTensorType::get({}, Float64Type::get(context)));
  return success();
}

OpCost SumSquaresOp::getCost() {
  OpCost cost = elementwiseCost(*this);
  cost.flops = 2 * getX().getType().getNumElements();
  return cost;
}

LogicalResult AdamWOp::inferReturnTypes(MLIRContext *, OptionalLocation, Adaptor adaptor,
                                        SmallVectorImpl<Type> &types) {
  types.assign({adaptor.getParameter().getType(), adaptor.getExpAvg().getType(),
                adaptor.getExpAvgSq().getType()});
  auto parameter = dyn_cast<RankedTensorType>(adaptor.getParameter().getType());
  // When the op is parsed its attributes are not properties yet.
  TypeAttr copy = adaptor.getCopyTypeAttr();
  if (DictionaryAttr attributes = adaptor.getAttributes(); !copy && attributes)
    copy = attributes.getAs<TypeAttr>("copy_type");
  if (copy && parameter)
    types.push_back(parameter.clone(copy.getValue()));
  return success();
}

LogicalResult AdamWOp::verify() {
  ArrayRef<int64_t> shape = getParameter().getType().getShape();
  return checkShape(getLoc(), "gradient", getGradient().getType(), "the shape of parameter", shape);
}

OpCost AdamWOp::getCost() {
  OpCost cost = elementwiseCost(*this);
  // Clip, decay, two moments of 3 and 4 operations, the step of 7: counted from the formula of the
  // op.
  cost.flops = 16 * getParameter().getType().getNumElements();
  return cost;
}

LogicalResult UpdateLossScaleOp::inferReturnTypes(MLIRContext *, OptionalLocation location,
                                                  Adaptor adaptor, SmallVectorImpl<Type> &types) {
  FailureOr<RankedTensorType> type = tensorType(location, "state", adaptor.getState());
  if (failed(type) || failed(checkShape(location, "state", *type, "its four numbers", {4})))
    return failure();
  types.push_back(*type);
  return success();
}

} // namespace deepshard::graph
