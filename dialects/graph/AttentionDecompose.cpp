//===- AttentionDecompose.cpp - attention and its gradient as primitives ----------------------===//
//
// Names as in the op: b batch, h heads, g key/value heads, r = h / g heads per group, s queries, t
// keys. Scores and probabilities are b x h x s x t; products run on the grouped views b x g x r x s
// x ..., so keys and values are never repeated.
//
//===------------------------------------------------------------------------------------------===//

#include "dialects/graph/PrimitiveBuilder.h"

#include "mlir/IR/IRMapping.h"

#include <limits>

using namespace mlir;

namespace deepshard::graph {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// What the forward and the gradient op have in common.
template <typename Op> class AttentionParts {
public:
  AttentionParts(OpBuilder &builder, Op op) : b(builder, op.getLoc()), op(op) {
    ArrayRef<int64_t> q = op.getQ().getType().getShape(), k = op.getK().getType().getShape();
    batch = q[0], heads = q[1], queries = q[2], groups = k[1], keys = k[2];
  }

  /// b x h x s x n as b x g x r x s x n.
  Value grouped(Value x) {
    return b.reshape(
        x, {batch, groups, heads / groups, queries, PrimitiveBuilder::typeOf(x).getDimSize(3)});
  }
  /// b x g x r x s x n as b x h x s x n.
  Value perHead(Value x) {
    return b.reshape(x, {batch, heads, queries, PrimitiveBuilder::typeOf(x).getDimSize(4)});
  }

  /// lhs (b x h x s x n) times rhs (b x g x t x n) over n: b x h x s x t.
  Value overFeatures(Value lhs, Value rhs) {
    return perHead(b.matmul(grouped(lhs), rhs, {0, 1}, 4, 3));
  }
  /// lhs (b x h x s x t) times rhs (b x g x t x n) over t: b x h x s x n.
  Value overKeys(Value lhs, Value rhs) {
    return perHead(b.matmul(grouped(lhs), rhs, {0, 1}, 4, 2));
  }
  /// lhs (b x h x s x t) times rhs (b x h x s x n) over r and s: b x g x t x n.
  Value overQueries(Value lhs, Value rhs) {
    return b.matmul(grouped(lhs), grouped(rhs), {0, 1}, {2, 3}, {2, 3});
  }

  /// The scaled and masked scores; -inf where a query does not see a key.
  Value scores() {
    Value scores = b.mul(overFeatures(op.getQ(), op.getK()), op.getScale().convertToDouble());
    Value hidden = b.scalarLike(scores, -kInfinity);
    if (Value mask = op.getMask())
      scores = PrimitiveBuilder::elementTypeOf(mask).isInteger(1) ? b.select(mask, scores, hidden)
                                                                  : b.add(scores, mask);
    if (op.getCausal()) {
      Type index = IntegerType::get(op.getContext(), 64);
      Value query = b.add(b.iota(index, {queries, 1}, 0), static_cast<double>(keys - queries));
      if (Value diagonal = op.getDiagonal())
        query = b.add(query, diagonal);
      scores = b.select(b.compare("le", b.iota(index, {1, keys}, 1), query), scores, hidden);
    }
    return scores;
  }

  Value dropped(Value x) {
    if (!op.getCounter())
      return x;
    return b.dropout(x, op.getCounter(), op.getOffsets(), op.getDropoutAttr(), op.getIdAttr(),
                     op.getGlobalShapeAttr());
  }

  /// `x`, or 0 where it is -inf: exp(score - x) is then 0, not NaN, for a query that sees no key.
  Value finite(Value x) {
    Value hidden = b.compare("eq", x, b.scalarLike(x, -kInfinity));
    return b.select(hidden, b.scalarLike(x, 0.0), x);
  }

  PrimitiveBuilder b;
  Op op;
  int64_t batch, heads, queries, groups, keys;
};

} // namespace

/// `op` computed in the type of its sums: operands that are narrower are converted.
template <typename Op> static Op widened(OpBuilder &builder, Op op, Type sums) {
  PrimitiveBuilder b(builder, op.getLoc());
  IRMapping operands;
  for (Value operand : op->getOperands())
    if (isa<FloatType>(b.elementTypeOf(operand)))
      operands.map(operand, b.convert(operand, sums));
  auto wide = cast<Op>(builder.clone(*op, operands));
  for (Value result : wide->getResults())
    result.setType(b.typeOf(result).clone(sums));
  return wide;
}

FailureOr<SmallVector<Value>> AttentionOp::decompose(OpBuilder &builder) {
  if (Type sums = getLse().getType().getElementType(); sums != getQ().getType().getElementType()) {
    AttentionOp wide = widened(builder, *this, sums);
    PrimitiveBuilder b(builder, getLoc());
    return SmallVector<Value>{b.convert(wide.getO(), getO().getType().getElementType()),
                              wide.getLse()};
  }
  AttentionParts<AttentionOp> parts(builder, *this);
  PrimitiveBuilder &b = parts.b;
  Value scores = parts.scores();
  Value max = parts.finite(b.max(scores, 3));
  Value e = b.exp(b.sub(scores, max));
  Value sum = b.sum(e, 3);
  Value lse = b.reshape(b.add(max, b.log(sum)), getLse().getType().getShape());
  Value seesNone = b.compare("eq", sum, b.scalarLike(sum, 0.0));
  Value probability = b.div(e, b.select(seesNone, b.scalarLike(sum, 1.0), sum));
  return SmallVector<Value>{parts.overKeys(parts.dropped(probability), getV()), lse};
}

FailureOr<SmallVector<Value>> AttentionGradOp::decompose(OpBuilder &builder) {
  if (Type sums = getLse().getType().getElementType(); sums != getQ().getType().getElementType()) {
    PrimitiveBuilder b(builder, getLoc());
    AttentionGradOp wide = widened(builder, *this, sums);
    return llvm::map_to_vector(wide->getResults(), [&](Value result) {
      return b.convert(result, getQ().getType().getElementType());
    });
  }
  AttentionParts<AttentionGradOp> parts(builder, *this);
  PrimitiveBuilder &b = parts.b;
  SmallVector<int64_t> rows = {parts.batch, parts.heads, parts.queries, 1};
  Value probability = b.exp(b.sub(parts.scores(), parts.finite(b.reshape(getLse(), rows))));
  Value dv = parts.overQueries(parts.dropped(probability), getDO());
  Value dProbability = parts.dropped(parts.overFeatures(getDO(), getV()));
  // sum_j p_j dp_j of a row, with dropout or without, equals d_o . o.
  Value delta = b.sum(b.mul(getDO(), getO()), 3);
  Value dScores =
      b.mul(b.mul(probability, b.sub(dProbability, delta)), getScale().convertToDouble());
  return SmallVector<Value>{parts.overKeys(dScores, getK()), parts.overQueries(dScores, getQ()),
                            dv};
}

} // namespace deepshard::graph
