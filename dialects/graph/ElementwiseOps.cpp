//===- ElementwiseOps.cpp - types of elementwise ops ------------------------------------------===//

#include "dialects/graph/Graph.h"
#include "dialects/graph/Inference.h"

using namespace mlir;

namespace deepshard::graph {

namespace {

LogicalResult inferBroadcast(OptionalLocation location, Value lhs, Value rhs, Type elementType,
                             SmallVectorImpl<Type> &types) {
  FailureOr<RankedTensorType> lhsType = tensorType(location, "lhs", lhs);
  FailureOr<RankedTensorType> rhsType = tensorType(location, "rhs", rhs);
  if (failed(lhsType) || failed(rhsType) ||
      failed(checkElementTypes(location, "lhs", *lhsType, "rhs", *rhsType)))
    return failure();
  FailureOr<SmallVector<int64_t>> shape =
      broadcastShapes(location, {"lhs", "rhs"}, {*lhsType, *rhsType});
  if (failed(shape))
    return failure();
  types.push_back(
      RankedTensorType::get(*shape, elementType ? elementType : lhsType->getElementType()));
  return success();
}

} // namespace

#define GRAPH_BINARY_INFERENCE(OP)                                                                 \
  LogicalResult OP::inferReturnTypes(MLIRContext *, OptionalLocation location, Adaptor adaptor,    \
                                     SmallVectorImpl<Type> &types) {                               \
    return inferBroadcast(location, adaptor.getLhs(), adaptor.getRhs(), nullptr, types);           \
  }

GRAPH_BINARY_INFERENCE(AddOp)
GRAPH_BINARY_INFERENCE(SubOp)
GRAPH_BINARY_INFERENCE(MulOp)
GRAPH_BINARY_INFERENCE(DivOp)
GRAPH_BINARY_INFERENCE(PowOp)
GRAPH_BINARY_INFERENCE(MaximumOp)
GRAPH_BINARY_INFERENCE(MinimumOp)
GRAPH_BINARY_INFERENCE(AndOp)
GRAPH_BINARY_INFERENCE(OrOp)
#undef GRAPH_BINARY_INFERENCE

LogicalResult CompareOp::inferReturnTypes(MLIRContext *context, OptionalLocation location,
                                          Adaptor adaptor, SmallVectorImpl<Type> &types) {
  return inferBroadcast(location, adaptor.getLhs(), adaptor.getRhs(), IntegerType::get(context, 1),
                        types);
}

LogicalResult CompareOp::verify() {
  if (!llvm::is_contained({"eq", "ne", "lt", "le", "gt", "ge"}, getDirection()))
    return emitOpError() << "direction \"" << getDirection()
                         << "\" is unknown; expected eq, ne, lt, le, gt or ge";
  return success();
}

LogicalResult SelectOp::inferReturnTypes(MLIRContext *, OptionalLocation location, Adaptor adaptor,
                                         SmallVectorImpl<Type> &types) {
  FailureOr<RankedTensorType> predicate = tensorType(location, "predicate", adaptor.getPredicate());
  FailureOr<RankedTensorType> onTrue = tensorType(location, "on_true", adaptor.getOnTrue());
  FailureOr<RankedTensorType> onFalse = tensorType(location, "on_false", adaptor.getOnFalse());
  if (failed(predicate) || failed(onTrue) || failed(onFalse) ||
      failed(checkElementTypes(location, "on_true", *onTrue, "on_false", *onFalse)))
    return failure();
  FailureOr<SmallVector<int64_t>> shape = broadcastShapes(
      location, {"predicate", "on_true", "on_false"}, {*predicate, *onTrue, *onFalse});
  if (failed(shape))
    return failure();
  types.push_back(RankedTensorType::get(*shape, onTrue->getElementType()));
  return success();
}

} // namespace deepshard::graph
