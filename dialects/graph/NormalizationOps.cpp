//===- NormalizationOps.cpp - types of softmax, layer norm, losses ----------------------------===//

#include "dialects/graph/Graph.h"
#include "dialects/graph/Inference.h"

using namespace mlir;

namespace deepshard::graph {

LogicalResult SoftmaxOp::verify() {
  return checkDimension(getLoc(), "dim", static_cast<int64_t>(getDim()), "x",
                        getX().getType().getRank());
}

LogicalResult SoftmaxGradOp::verify() {
  return checkDimension(getLoc(), "dim", static_cast<int64_t>(getDim()), "y",
                        getY().getType().getRank());
}

/// The shape of `weight` is a suffix of the shape of `x`, element types agree.
static LogicalResult checkSuffix(OptionalLocation location, RankedTensorType x,
                                 RankedTensorType weight) {
  if (failed(checkElementTypes(location, "x", x, "weight", weight)))
    return failure();
  int64_t trailing = weight.getRank();
  if (trailing < 1 || trailing > x.getRank())
    return emitOptionalError(location, "'weight' has rank ", trailing, "; expected 1 to ",
                             x.getRank(), ", the trailing dimensions of 'x'");
  return checkShape(location, "weight", weight, "the trailing dimensions of x",
                    x.getShape().take_back(trailing));
}

LogicalResult LayerNormOp::inferReturnTypes(MLIRContext *, OptionalLocation location,
                                            Adaptor adaptor, SmallVectorImpl<Type> &types) {
  FailureOr<RankedTensorType> x = tensorType(location, "x", adaptor.getX());
  FailureOr<RankedTensorType> weight = tensorType(location, "weight", adaptor.getWeight());
  FailureOr<RankedTensorType> bias = tensorType(location, "bias", adaptor.getBias());
  if (failed(x) || failed(weight) || failed(bias) || failed(checkSuffix(location, *x, *weight)) ||
      failed(checkElementTypes(location, "x", *x, "bias", *bias)) ||
      failed(checkShape(location, "bias", *bias, "the shape of weight", weight->getShape())))
    return failure();
  auto rows =
      RankedTensorType::get(x->getShape().drop_back(weight->getRank()), x->getElementType());
  types.assign({*x, rows, rows});
  return success();
}

LogicalResult LayerNormGradOp::inferReturnTypes(MLIRContext *, OptionalLocation location,
                                                Adaptor adaptor, SmallVectorImpl<Type> &types) {
  FailureOr<RankedTensorType> dy = tensorType(location, "dy", adaptor.getDy());
  FailureOr<RankedTensorType> x = tensorType(location, "x", adaptor.getX());
  FailureOr<RankedTensorType> weight = tensorType(location, "weight", adaptor.getWeight());
  if (failed(dy) || failed(x) || failed(weight) ||
      failed(checkElementTypes(location, "dy", *dy, "x", *x)) ||
      failed(checkShape(location, "dy", *dy, "the shape of x", x->getShape())) ||
      failed(checkSuffix(location, *x, *weight)))
    return failure();
  for (auto [name, value] :
       {std::pair(StringRef("mean"), adaptor.getMean()), {"rstd", adaptor.getRstd()}}) {
    FailureOr<RankedTensorType> type = tensorType(location, name, value);
    if (failed(type) || failed(checkElementTypes(location, "x", *x, name, *type)) ||
        failed(checkShape(location, name, *type, "the leading dimensions of x",
                          x->getShape().drop_back(weight->getRank()))))
      return failure();
  }
  types.assign({*x, *weight, *weight});
  return success();
}

/// `logits` is n... x v, `target` is n...
static LogicalResult checkLogits(OptionalLocation location, RankedTensorType logits, Value target) {
  FailureOr<RankedTensorType> targetType = tensorType(location, "target", target);
  if (failed(targetType))
    return failure();
  if (logits.getRank() < 2)
    return emitOptionalError(location, "'logits' has rank ", logits.getRank(),
                             "; expected rows and columns");
  return checkShape(location, "target", *targetType, "one element per row of logits",
                    logits.getShape().drop_back());
}

LogicalResult CrossEntropyOp::inferReturnTypes(MLIRContext *, OptionalLocation location,
                                               Adaptor adaptor, SmallVectorImpl<Type> &types) {
  FailureOr<RankedTensorType> logits = tensorType(location, "logits", adaptor.getLogits());
  if (failed(logits) || failed(checkLogits(location, *logits, adaptor.getTarget())))
    return failure();
  Type type = accumulationType(logits->getElementType());
  auto scalar = RankedTensorType::get({}, type);
  types.assign({scalar, scalar, RankedTensorType::get(logits->getShape().drop_back(), type)});
  return success();
}

LogicalResult CrossEntropyGradOp::inferReturnTypes(MLIRContext *, OptionalLocation location,
                                                   Adaptor adaptor, SmallVectorImpl<Type> &types) {
  auto sums = [](RankedTensorType logits) {
    return RankedTensorType::get({}, accumulationType(logits.getElementType()));
  };
  FailureOr<RankedTensorType> logits = tensorType(location, "logits", adaptor.getLogits());
  FailureOr<RankedTensorType> lse = tensorType(location, "lse", adaptor.getLse());
  FailureOr<RankedTensorType> dloss = tensorType(location, "dloss_sum", adaptor.getDlossSum());
  if (failed(logits) || failed(lse) || failed(dloss) ||
      failed(checkLogits(location, *logits, adaptor.getTarget())) ||
      failed(checkElementTypes(location, "the sums of logits", sums(*logits), "lse", *lse)) ||
      failed(
          checkElementTypes(location, "the sums of logits", sums(*logits), "dloss_sum", *dloss)) ||
      failed(checkShape(location, "lse", *lse, "one element per row of logits",
                        logits->getShape().drop_back())) ||
      failed(checkRank(location, "dloss_sum", *dloss, 0)))
    return failure();
  types.push_back(*logits);
  return success();
}

LogicalResult CrossEntropyWithGradOp::inferReturnTypes(MLIRContext *, OptionalLocation location,
                                                       Adaptor adaptor,
                                                       SmallVectorImpl<Type> &types) {
  FailureOr<RankedTensorType> logits = tensorType(location, "logits", adaptor.getLogits());
  FailureOr<RankedTensorType> dloss = tensorType(location, "dloss_sum", adaptor.getDlossSum());
  if (failed(logits) || failed(dloss) ||
      failed(checkLogits(location, *logits, adaptor.getTarget())))
    return failure();
  auto sum = RankedTensorType::get({}, accumulationType(logits->getElementType()));
  if (failed(checkElementTypes(location, "the sums of logits", sum, "dloss_sum", *dloss)) ||
      failed(checkRank(location, "dloss_sum", *dloss, 0)))
    return failure();
  types.assign({*logits, sum});
  return success();
}

} // namespace deepshard::graph
