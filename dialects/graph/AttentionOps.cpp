//===- AttentionOps.cpp - types and costs of attention ----------------------------------------===//

#include "dialects/graph/Attention.h"
#include "dialects/graph/Inference.h"

using namespace mlir;

namespace deepshard::graph {

namespace {

/// The types of q, k and v, which agree.
struct AttentionTypes {
  RankedTensorType q, k, v;
};

/// Constraint 1 of attention.
FailureOr<AttentionTypes> attentionTypes(OptionalLocation location, Value qValue, Value kValue,
                                         Value vValue) {
  FailureOr<RankedTensorType> q = tensorType(location, "q", qValue);
  FailureOr<RankedTensorType> k = tensorType(location, "k", kValue);
  FailureOr<RankedTensorType> v = tensorType(location, "v", vValue);
  if (failed(q) || failed(k) || failed(v) || failed(checkRank(location, "q", *q, 4)) ||
      failed(checkRank(location, "k", *k, 4)) || failed(checkRank(location, "v", *v, 4)) ||
      failed(checkElementTypes(location, "q", *q, "k", *k)) ||
      failed(checkElementTypes(location, "q", *q, "v", *v)))
    return failure();
  if (failed(checkSizes(location, "q", *q, 0, "k", *k, 0)) ||
      failed(checkSizes(location, "q", *q, 3, "k", *k, 3)) ||
      failed(checkSizes(location, "k", *k, 0, "v", *v, 0)) ||
      failed(checkSizes(location, "k", *k, 1, "v", *v, 1)) ||
      failed(checkSizes(location, "k", *k, 2, "v", *v, 2)))
    return failure();
  int64_t heads = q->getDimSize(1), groups = k->getDimSize(1);
  if (groups == 0 || heads % groups != 0) {
    (void)emitOptionalError(location, "dimension 1 of 'q' is ", heads,
                            " (heads), not a multiple of dimension 1 of 'k', ", groups,
                            " (key/value heads)");
    return failure();
  }
  return AttentionTypes{*q, *k, *v};
}

RankedTensorType outputType(const AttentionTypes &types) {
  SmallVector<int64_t> shape(types.q.getShape());
  shape.back() = types.v.getDimSize(3);
  return RankedTensorType::get(shape, types.q.getElementType());
}

RankedTensorType lseType(const AttentionTypes &types) {
  return RankedTensorType::get(types.q.getShape().drop_back(),
                               accumulationType(types.q.getElementType()));
}

/// Constraints 2 to 5 of attention.
template <typename Op> LogicalResult verifyMaskAndDropout(Op op) {
  RankedTensorType q = op.getQ().getType();
  int64_t scores[] = {q.getDimSize(0), q.getDimSize(1), q.getDimSize(2),
                      op.getK().getType().getDimSize(2)};
  if (op.getMask()) {
    auto mask = cast<RankedTensorType>(op.getMask().getType());
    if (failed(checkRank(op.getLoc(), "mask", mask, 4)))
      return failure();
    if (!mask.getElementType().isInteger(1) &&
        mask.getElementType() != accumulationType(q.getElementType()) &&
        failed(checkElementTypes(op.getLoc(), "mask", mask, "q", q)))
      return failure();
    for (int dim = 0; dim < 4; ++dim)
      if (mask.getDimSize(dim) != 1 && mask.getDimSize(dim) != scores[dim])
        return emitError(op.getLoc()) << "dimension " << dim << " of 'mask' is "
                                      << mask.getDimSize(dim) << "; expected 1 or " << scores[dim]
                                      << " from the scores, which are " << shapeText(scores);
  }
  double dropout = op.getDropout().convertToDouble();
  if (!(dropout >= 0.0 && dropout < 1.0))
    return emitError(op.getLoc()) << "dropout is " << dropout << "; expected 0 <= dropout < 1";
  if ((dropout > 0.0) != static_cast<bool>(op.getCounter()))
    return emitError(op.getLoc()) << "dropout is " << dropout << " and 'counter' is "
                                  << (op.getCounter() ? "given" : "missing")
                                  << "; it is given exactly if dropout > 0";
  if (op.getOffsets() && !op.getCounter())
    return emitError(op.getLoc()) << "'offsets' is given without 'counter'";
  if (op.getDiagonal() && !op.getCausal())
    return emitError(op.getLoc()) << "'diagonal' is given without 'causal'";
  return checkPart(op.getLoc(), "the scores", scores, op.getOffsets(), op.getGlobalShape());
}

/// Pairs of query and key of one head that attention looks at; with `causal`, query i of s sees
/// keys j <= i + t - s. Of blocks whose `diagonal` is known later, that is the mean over the blocks
/// of a ring, half of which are hidden or half hidden.
int64_t visiblePairs(int64_t s, int64_t t, bool causal) {
  if (!causal)
    return s * t;
  int64_t pairs = 0;
  for (int64_t i = 0; i < s; ++i)
    pairs += std::clamp<int64_t>(i + 1 + t - s, 0, t);
  return pairs;
}

/// `flopsPerPair` on all visible pairs of all heads.
template <typename Op> OpCost attentionCost(Op op, int64_t flopsPerPair) {
  OpCost cost = elementwiseCost(op);
  RankedTensorType q = op.getQ().getType();
  int64_t pairs = visiblePairs(q.getDimSize(2), op.getK().getType().getDimSize(2), op.getCausal());
  cost.flops = q.getDimSize(0) * q.getDimSize(1) * pairs * flopsPerPair;
  return cost;
}

} // namespace

void AttentionOp::build(OpBuilder &builder, OperationState &state, Value q, Value k, Value v,
                        Value mask, Value counter, FloatAttr scale, UnitAttr causal,
                        FloatAttr dropout, IntegerAttr id) {
  build(builder, state, q, k, v, mask, counter, Value(), Value(), scale, causal, dropout, id,
        DenseI64ArrayAttr());
}

LogicalResult AttentionOp::inferReturnTypes(MLIRContext *, OptionalLocation location,
                                            Adaptor adaptor, SmallVectorImpl<Type> &types) {
  FailureOr<AttentionTypes> operands =
      attentionTypes(location, adaptor.getQ(), adaptor.getK(), adaptor.getV());
  if (failed(operands))
    return failure();
  types.assign({outputType(*operands), lseType(*operands)});
  return success();
}

LogicalResult AttentionOp::verify() { return verifyMaskAndDropout(*this); }

LogicalResult AttentionGradOp::inferReturnTypes(MLIRContext *, OptionalLocation location,
                                                Adaptor adaptor, SmallVectorImpl<Type> &types) {
  FailureOr<AttentionTypes> operands =
      attentionTypes(location, adaptor.getQ(), adaptor.getK(), adaptor.getV());
  if (failed(operands))
    return failure();
  types.assign({operands->q, operands->k, operands->v});
  return success();
}

LogicalResult AttentionGradOp::verify() {
  AttentionTypes types{getQ().getType(), getK().getType(), getV().getType()};
  RankedTensorType o = outputType(types), lse = lseType(types);
  auto expect = [&](StringRef name, TypedValue<RankedTensorType> value, StringRef what,
                    RankedTensorType type) {
    return success(succeeded(checkElementTypes(getLoc(), name, value.getType(), what, type)) &&
                   succeeded(checkShape(getLoc(), name, value.getType(), what, type.getShape())));
  };
  if (failed(expect("d_o", getDO(), "the shape of the forward result o", o)) ||
      failed(expect("o", getO(), "the shape of the forward result o", o)) ||
      failed(expect("lse", getLse(), "the shape of the forward result lse", lse)))
    return failure();
  return verifyMaskAndDropout(*this);
}

// Per pair: two products over d and e, then scale, maximum, exponential, sum and division of the
// softmax.
OpCost AttentionOp::getCost() {
  OpCost cost = attentionCost(*this, 2 * getV().getType().getDimSize(3));
  cost.flops += flopsOfScores(*this);
  return cost;
}

int64_t flopsOfScores(AttentionOp op) {
  return attentionCost(op, 2 * op.getQ().getType().getDimSize(3) + 5).flops;
}

// Per pair: the scores again and the products for dq, dk (over d), dv and the gradient of the
// probabilities (over e), then scale, exponential, subtraction and two multiplications.
OpCost AttentionGradOp::getCost() {
  OpCost cost = attentionCost(*this, 2 * 2 * getV().getType().getDimSize(3));
  cost.flops += flopsOfScores(*this);
  return cost;
}

int64_t flopsOfScores(AttentionGradOp op) {
  return attentionCost(op, 2 * 3 * op.getQ().getType().getDimSize(3) + 5).flops;
}

} // namespace deepshard::graph
