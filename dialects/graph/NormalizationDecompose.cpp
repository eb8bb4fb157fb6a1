//===- NormalizationDecompose.cpp - softmax, layer norm, cross entropy as primitives ----------===//

#include "dialects/graph/PrimitiveBuilder.h"

#include <limits>

using namespace mlir;

namespace deepshard::graph {

namespace {

/// begin, begin + 1, ..., end - 1.
SmallVector<int64_t> dimensions(int64_t begin, int64_t end) {
  return llvm::to_vector(llvm::seq(begin, end));
}

/// The shape `x` keeps when the dimensions from `leading` on are reduced to size 1.
SmallVector<int64_t> keptShape(RankedTensorType x, int64_t leading) {
  SmallVector<int64_t> shape(x.getShape());
  std::fill(shape.begin() + leading, shape.end(), 1);
  return shape;
}

} // namespace

FailureOr<SmallVector<Value>> ReduceLogSumExpOp::decompose(OpBuilder &builder) {
  PrimitiveBuilder b(builder, getLoc());
  Value max = b.max(getX(), getDims());
  // An infinite maximum is the answer whatever is added to it; subtracted it would give NaN.
  Value isFinite = b.compare("lt", AbsOp::create(builder, getLoc(), max.getType(), max),
                             b.scalarLike(max, std::numeric_limits<double>::infinity()));
  Value shift = b.select(isFinite, max, b.scalarLike(max, 0.0));
  Value lse = b.add(b.log(b.sum(b.exp(b.sub(getX(), shift)), getDims())), shift);
  return SmallVector<Value>{getKeepDims() ? lse : b.reshape(lse, getResult().getType().getShape())};
}

FailureOr<SmallVector<Value>> SoftmaxOp::decompose(OpBuilder &builder) {
  PrimitiveBuilder b(builder, getLoc());
  int64_t dim = static_cast<int64_t>(getDim());
  Value e = b.exp(b.sub(getX(), b.max(getX(), dim)));
  return SmallVector<Value>{b.div(e, b.sum(e, dim))};
}

FailureOr<SmallVector<Value>> SoftmaxGradOp::decompose(OpBuilder &builder) {
  PrimitiveBuilder b(builder, getLoc());
  Value sum = b.sum(b.mul(getDy(), getY()), static_cast<int64_t>(getDim()));
  return SmallVector<Value>{b.mul(getY(), b.sub(getDy(), sum))};
}

FailureOr<SmallVector<Value>> LayerNormOp::decompose(OpBuilder &builder) {
  PrimitiveBuilder b(builder, getLoc());
  RankedTensorType type = getX().getType();
  int64_t leading = type.getRank() - getWeight().getType().getRank();
  SmallVector<int64_t> dims = dimensions(leading, type.getRank());
  double count = static_cast<double>(getWeight().getType().getNumElements());
  // Two passes: the variance is the mean of squares of centred values, never a difference of large
  // numbers.
  Value mean = b.div(b.sum(getX(), dims), count);
  Value centred = b.sub(getX(), mean);
  Value variance = b.div(b.sum(b.mul(centred, centred), dims), count);
  Value rstd = b.rsqrt(b.add(variance, getEps().convertToDouble()));
  Value y = b.add(b.mul(b.mul(centred, rstd), getWeight()), getBias());
  ArrayRef<int64_t> rows = type.getShape().take_front(leading);
  return SmallVector<Value>{y, b.reshape(mean, rows), b.reshape(rstd, rows)};
}

FailureOr<SmallVector<Value>> LayerNormGradOp::decompose(OpBuilder &builder) {
  PrimitiveBuilder b(builder, getLoc());
  RankedTensorType type = getX().getType();
  int64_t leading = type.getRank() - getWeight().getType().getRank();
  SmallVector<int64_t> kept = keptShape(type, leading);
  SmallVector<int64_t> rows = dimensions(0, leading), dims = dimensions(leading, type.getRank());
  double count = static_cast<double>(getWeight().getType().getNumElements());
  Value rstd = b.reshape(getRstd(), kept);
  Value n = b.mul(b.sub(getX(), b.reshape(getMean(), kept)), rstd);
  Value g = b.mul(getDy(), getWeight());
  Value meanG = b.div(b.sum(g, dims), count);
  Value meanGN = b.div(b.sum(b.mul(g, n), dims), count);
  Value dx = b.mul(rstd, b.sub(b.sub(g, meanG), b.mul(n, meanGN)));
  return SmallVector<Value>{dx, b.sum(b.mul(getDy(), n), rows, /*keep=*/false),
                            b.sum(getDy(), rows, /*keep=*/false)};
}

/// One bool a row.
static Value rowsThatCount(CrossEntropyOp op, PrimitiveBuilder &b) {
  Value target = op.getTarget();
  return b.compare(
      "ne", target,
      b.scalarLike(target, static_cast<double>(static_cast<int64_t>(op.getIgnoreIndex()))));
}

Value CrossEntropyOp::buildCount(OpBuilder &builder) {
  PrimitiveBuilder b(builder, getLoc());
  return b.sum(b.convert(rowsThatCount(*this, b), b.elementTypeOf(getCount())),
               dimensions(0, b.typeOf(getTarget()).getRank()), /*keep=*/false);
}

FailureOr<SmallVector<Value>> CrossEntropyOp::decompose(OpBuilder &builder) {
  PrimitiveBuilder b(builder, getLoc());
  Type sums = getLse().getType().getElementType();
  RankedTensorType type = getLogits().getType();
  int64_t columnDim = type.getRank() - 1;
  SmallVector<int64_t> rows(type.getShape().drop_back()), oneColumn(rows);
  oneColumn.push_back(1);
  Value lse = b.logSumExp(b.convert(getLogits(), sums), columnDim, /*keep=*/false);
  Value counts = rowsThatCount(*this, b);
  // Rows that do not count read column 0 instead of a column that need not exist.
  Value column = b.select(counts, getTarget(), b.scalarLike(getTarget(), 0.0));
  // Not of the wide logits, which would be stored for it.
  Value chosen = b.convert(
      b.reshape(b.gather(getLogits(), b.reshape(column, oneColumn), columnDim), rows), sums);
  Value loss = b.select(counts, b.sub(lse, chosen), b.scalarLike(lse, 0.0));
  return SmallVector<Value>{b.sum(loss, dimensions(0, columnDim), /*keep=*/false),
                            buildCount(builder), lse};
}

/// Where the column is the target of the row, of logits with rows x columns.
static Value hitsOf(PrimitiveBuilder &b, RankedTensorType logits, Value target) {
  SmallVector<int64_t> oneRow(logits.getRank(), 1);
  oneRow.back() = logits.getShape().back();
  return b.compare("eq", b.iota(b.elementTypeOf(target), oneRow, logits.getRank() - 1), target);
}

/// Row by row and column by column, so that one kernel can compute all of it and no other reads the
/// logits.
FailureOr<SmallVector<Value>> CrossEntropyWithGradOp::decompose(OpBuilder &builder) {
  PrimitiveBuilder b(builder, getLoc());
  RankedTensorType type = getLogits().getType();
  int64_t columnDim = type.getRank() - 1;
  SmallVector<int64_t> oneColumn(type.getShape());
  oneColumn.back() = 1;
  Value x = b.convert(getLogits(), getLossSum().getType().getElementType());
  Value lse = b.logSumExp(x, columnDim, /*keep=*/true), target = b.reshape(getTarget(), oneColumn);
  Value counts =
      b.compare("ne", target, b.scalarLike(target, static_cast<int64_t>(getIgnoreIndex())));
  Value hits = hitsOf(b, type, target), none = b.scalarLike(x, 0.0);
  Value chosen = b.sum(b.select(hits, x, none), columnDim);
  Value exists = b.both(
      b.compare("ge", target, b.scalarLike(target, 0.0)),
      b.compare("lt", target, b.scalarLike(target, static_cast<double>(type.getShape().back()))));
  Value logit = b.select(exists, chosen, b.scalarLike(x, std::numeric_limits<double>::quiet_NaN()));
  Value loss = b.select(counts, b.sub(lse, logit), none);
  Value slope =
      b.mul(b.sub(b.exp(b.sub(x, lse)), b.convert(hits, b.elementTypeOf(x))), getDlossSum());
  return SmallVector<Value>{b.convert(b.select(counts, slope, none), type.getElementType()),
                            b.sum(loss, dimensions(0, type.getRank()), /*keep=*/false)};
}

FailureOr<SmallVector<Value>> CrossEntropyGradOp::decompose(OpBuilder &builder) {
  PrimitiveBuilder b(builder, getLoc());
  RankedTensorType type = getLogits().getType();
  Type sums = getLse().getType().getElementType();
  if (sums != type.getElementType()) {
    Value wide = CrossEntropyGradOp::create(builder, getLoc(), b.convert(getLogits(), sums),
                                            getTarget(), getLse(), getDlossSum(), getIgnoreIndex());
    return SmallVector<Value>{b.convert(wide, type.getElementType())};
  }
  SmallVector<int64_t> oneColumn(type.getShape());
  oneColumn.back() = 1;
  Value target = b.reshape(getTarget(), oneColumn);
  Value counts =
      b.compare("ne", target, b.scalarLike(target, static_cast<int64_t>(getIgnoreIndex())));
  Value probability = b.exp(b.sub(getLogits(), b.reshape(getLse(), oneColumn)));
  Value difference = b.sub(probability, b.convert(hitsOf(b, type, target), type.getElementType()));
  return SmallVector<Value>{
      b.select(counts, b.mul(difference, getDlossSum()), b.scalarLike(getLogits(), 0.0))};
}

} // namespace deepshard::graph
