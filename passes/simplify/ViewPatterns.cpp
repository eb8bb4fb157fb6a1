//===- ViewPatterns.cpp - maps between elements, composed -------------------------------------===//
//
// Reshape of reshape, transpose of transpose and broadcast of broadcast are the ops' own folds.
//
//===------------------------------------------------------------------------------------------===//

#include "passes/simplify/Patterns.h"

#include "dialects/graph/Graph.h"
#include "mlir/Dialect/Traits.h"
#include "mlir/IR/PatternMatch.h"
#include "passes/simplify/Match.h"

using namespace mlir;

namespace deepshard {
namespace {

/// A transpose that only moves dimensions of size 1 is a reshape.
LogicalResult transposeToReshape(graph::TransposeOp op, PatternRewriter &rewriter) {
  int64_t last = -1;
  for (int64_t dimension : op.getPermutation()) {
    if (shapeOf(op.getX())[dimension] == 1)
      continue;
    if (dimension < last)
      return failure();
    last = dimension;
  }
  rewriter.replaceOp(op, reshaped(rewriter, op.getLoc(), op.getX(), op.getType().getShape()));
  return success();
}

/// A broadcast that repeats nothing is a reshape.
LogicalResult broadcastToReshape(graph::BroadcastOp op, PatternRewriter &rewriter) {
  if (tensorType(op.getX()).getNumElements() != op.getType().getNumElements())
    return failure();
  rewriter.replaceOp(op, reshaped(rewriter, op.getLoc(), op.getX(), op.getType().getShape()));
  return success();
}

/// broadcast(reshape(x)) -> broadcast(x) where the reshape only puts in dimensions of size 1.
LogicalResult broadcastOfUnsqueeze(graph::BroadcastOp op, PatternRewriter &rewriter) {
  auto reshape = op.getX().getDefiningOp<graph::ReshapeOp>();
  if (!reshape)
    return failure();
  ArrayRef<int64_t> from = shapeOf(reshape.getX()), to = reshape.getType().getShape();
  SmallVector<int64_t> dims;
  for (size_t i = 0; i < to.size(); ++i) {
    if (dims.size() < from.size() && to[i] == from[dims.size()])
      dims.push_back(op.getDims()[i]);
    else if (to[i] != 1)
      return failure();
  }
  if (dims.size() != from.size())
    return failure();
  rewriter.replaceOpWithNewOp<graph::BroadcastOp>(op, op.getType(), reshape.getX(), dims);
  return success();
}

/// slice(slice(x)) -> slice(x).
LogicalResult composeSlices(graph::SliceOp op, PatternRewriter &rewriter) {
  auto inner = op.getX().getDefiningOp<graph::SliceOp>();
  if (!inner)
    return failure();
  SmallVector<int64_t> starts, limits, strides;
  for (auto [dimension, size] : llvm::enumerate(shapeOf(op))) {
    int64_t start =
        inner.getStarts()[dimension] + op.getStarts()[dimension] * inner.getStrides()[dimension];
    int64_t stride = inner.getStrides()[dimension] * op.getStrides()[dimension];
    starts.push_back(size == 0 ? 0 : start);
    limits.push_back(size == 0 ? 0 : start + (size - 1) * stride + 1);
    strides.push_back(size <= 1 ? 1 : stride);
  }
  rewriter.replaceOpWithNewOp<graph::SliceOp>(op, inner.getX(), starts, limits, strides);
  return success();
}

/// slice(concat(...)) -> slice of the operand that holds all of it.
LogicalResult sliceOfConcat(graph::SliceOp op, PatternRewriter &rewriter) {
  auto concat = op.getX().getDefiningOp<graph::ConcatOp>();
  if (!concat)
    return failure();
  int64_t dim = concat.getDim(), begin = op.getStarts()[dim], end = op.getLimits()[dim], offset = 0;
  for (Value operand : concat.getOperands()) {
    int64_t size = shapeOf(operand)[dim];
    if (offset <= begin && end <= offset + size) {
      SmallVector<int64_t> starts(op.getStarts()), limits(op.getLimits());
      starts[dim] -= offset;
      limits[dim] -= offset;
      rewriter.replaceOpWithNewOp<graph::SliceOp>(op, operand, starts, limits, op.getStrides());
      return success();
    }
    offset += size;
  }
  return failure();
}

/// Whether every value of `from` is a value of `to`.
bool isExact(Type from, Type to) {
  if (from == to || from.isInteger(1))
    return true;
  auto fromFloat = dyn_cast<FloatType>(from), toFloat = dyn_cast<FloatType>(to);
  if (fromFloat && toFloat) {
    const llvm::fltSemantics &a = fromFloat.getFloatSemantics(), &b = toFloat.getFloatSemantics();
    return APFloat::semanticsPrecision(a) <= APFloat::semanticsPrecision(b) &&
           APFloat::semanticsMaxExponent(a) <= APFloat::semanticsMaxExponent(b) &&
           APFloat::semanticsMinExponent(a) >= APFloat::semanticsMinExponent(b);
  }
  if (fromFloat || to.isInteger(1))
    return false;
  unsigned bits = from.getIntOrFloatBitWidth();
  return toFloat ? bits <= APFloat::semanticsPrecision(toFloat.getFloatSemantics())
                 : bits <= to.getIntOrFloatBitWidth();
}

/// convert(convert(x)) -> convert(x) where the inner one loses nothing.
LogicalResult composeConverts(graph::ConvertOp op, PatternRewriter &rewriter) {
  auto inner = op.getX().getDefiningOp<graph::ConvertOp>();
  if (!inner ||
      !isExact(tensorType(inner.getX()).getElementType(), inner.getType().getElementType()))
    return failure();
  if (inner.getX().getType() == op.getType())
    rewriter.replaceOp(op, inner.getX());
  else
    rewriter.replaceOpWithNewOp<graph::ConvertOp>(op, op.getType(), inner.getX());
  return success();
}

/// Elementwise ops with several operands broadcast on their own: a broadcast that feeds one is
/// dropped where another operand still gives the result its shape.
struct BroadcastIntoElementwise : OpTraitRewritePattern<graph::Elementwise> {
  explicit BroadcastIntoElementwise(MLIRContext *context) : OpTraitRewritePattern(context) {}

  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    if (op->getNumOperands() < 2 || op->hasTrait<OpTrait::SameOperandsAndResultType>())
      return failure();
    for (OpOperand &operand : op->getOpOperands()) {
      auto broadcast = operand.get().getDefiningOp<graph::BroadcastOp>();
      if (!broadcast)
        continue;
      SmallVector<int64_t> shape = alignedShape(broadcast);
      if (!keepsShape(op, operand.getOperandNumber(), shape))
        continue;
      Value narrow = reshaped(rewriter, broadcast.getLoc(), broadcast.getX(), shape);
      rewriter.modifyOpInPlace(op, [&] { operand.set(narrow); });
      return success();
    }
    return failure();
  }

private:
  /// The shape of the operand of `broadcast` under which NumPy's rules repeat it likewise.
  static SmallVector<int64_t> alignedShape(graph::BroadcastOp broadcast) {
    ArrayRef<int64_t> dims = broadcast.getDims();
    if (dims.empty())
      return {};
    SmallVector<int64_t> shape(broadcast.getType().getRank() - dims.front(), 1);
    for (auto [dimension, size] : llvm::zip(dims, shapeOf(broadcast.getX())))
      shape[dimension - dims.front()] = size;
    return shape;
  }

  static bool keepsShape(Operation *op, unsigned changed, ArrayRef<int64_t> shape) {
    SmallVector<int64_t> result(shape);
    for (OpOperand &operand : op->getOpOperands()) {
      if (operand.getOperandNumber() == changed)
        continue;
      SmallVector<int64_t> next;
      if (!OpTrait::util::getBroadcastedShape(result, shapeOf(operand.get()), next))
        return false;
      result = next;
    }
    return ArrayRef<int64_t>(result) == shapeOf(op->getResult(0));
  }
};

/// The first of the consecutive numbers that `ids` holds.
std::optional<int64_t> firstOfConsecutive(Value ids) {
  auto constant = ids.getDefiningOp<graph::ConstantOp>();
  if (!constant)
    return std::nullopt;
  auto dense = dyn_cast<DenseIntElementsAttr>(constant.getValue());
  if (!dense || dense.empty())
    return std::nullopt;
  int64_t first = (*dense.begin()).getSExtValue(), expected = first;
  for (const APInt &id : dense)
    if (id.getSExtValue() != expected++)
      return std::nullopt;
  return first;
}

/// Rows a, a + 1, ... of a table, as learned positions are read, are a slice of it. Small or large,
/// the ids are dense here or an iota.
LogicalResult consecutiveRows(graph::EmbeddingOp op, PatternRewriter &rewriter) {
  auto table = tensorType(op.getTable());
  int64_t count = tensorType(op.getIds()).getNumElements();
  std::optional<int64_t> first = firstOfConsecutive(op.getIds());
  Value ids = op.getIds();
  if (auto reshape = ids.getDefiningOp<graph::ReshapeOp>())
    ids = reshape.getX();
  if (auto iota = ids.getDefiningOp<graph::IotaOp>(); iota && shapeOf(iota)[iota.getDim()] == count)
    first = 0;
  if (op.getOffset() || !first || *first < 0 || *first + count > table.getShape()[0])
    return failure();
  SmallVector<int64_t> starts(table.getRank(), 0), limits(table.getShape()),
      strides(table.getRank(), 1);
  starts[0] = *first;
  limits[0] = *first + count;
  Value rows = op.getTable();
  if (limits[0] - starts[0] != table.getShape()[0])
    rows = graph::SliceOp::create(rewriter, op.getLoc(), rows, starts, limits, strides);
  rewriter.replaceOp(op, reshaped(rewriter, op.getLoc(), rows, op.getType().getShape()));
  return success();
}

} // namespace

void addViewPatterns(RewritePatternSet &patterns) {
  patterns.add(transposeToReshape, /*benefit=*/2);
  patterns.add(broadcastToReshape, /*benefit=*/2);
  patterns.add(broadcastOfUnsqueeze);
  patterns.add(composeSlices);
  patterns.add(sliceOfConcat);
  patterns.add(composeConverts);
  patterns.add(consecutiveRows);
  patterns.add<BroadcastIntoElementwise>(patterns.getContext());
}

} // namespace deepshard
