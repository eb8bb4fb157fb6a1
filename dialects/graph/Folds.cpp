//===- Folds.cpp - identities that need no arithmetic -----------------------------------------===//
//
// A fold must not change a value: x * 0 and x - x are folded for integers only (NaN, infinities). x
// + 0 is folded for floats too: the results are equal, only the sign of a zero may differ.
// Arithmetic on constants is the work of the pass that runs the reference kernels.
//
//===------------------------------------------------------------------------------------------===//

#include "dialects/graph/Graph.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;

namespace deepshard::graph {

namespace {

/// The value of a constant whose elements are all equal.
std::optional<double> splatValue(Attribute attribute) {
  auto dense = dyn_cast_if_present<DenseElementsAttr>(attribute);
  if (!dense || !dense.isSplat())
    return std::nullopt;
  if (isa<FloatType>(dense.getElementType()))
    return FloatAttr::get(dense.getElementType(), dense.getSplatValue<APFloat>())
        .getValueAsDouble();
  APInt value = dense.getSplatValue<APInt>();
  return value.getBitWidth() == 1 ? static_cast<double>(value.getZExtValue())
                                  : static_cast<double>(value.getSExtValue());
}

bool isSplat(Attribute attribute, double value) { return splatValue(attribute) == value; }

/// `value` if it has the type of the op's result (a fold cannot broadcast).
OpFoldResult ifTyped(Value value, Type type) {
  return value.getType() == type ? OpFoldResult(value) : OpFoldResult();
}

bool isInteger(Value value) {
  return isa<IntegerType>(cast<RankedTensorType>(value.getType()).getElementType());
}

Attribute zeroOf(RankedTensorType type) {
  return DenseElementsAttr::get(
      type, Attribute(Builder(type.getContext()).getZeroAttr(type.getElementType())));
}

} // namespace

OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValue(); }

OpFoldResult AddOp::fold(FoldAdaptor adaptor) {
  if (isSplat(adaptor.getRhs(), 0.0))
    return ifTyped(getLhs(), getType());
  if (isSplat(adaptor.getLhs(), 0.0))
    return ifTyped(getRhs(), getType());
  return {};
}

OpFoldResult SubOp::fold(FoldAdaptor adaptor) {
  if (isSplat(adaptor.getRhs(), 0.0))
    return ifTyped(getLhs(), getType());
  if (getLhs() == getRhs() && isInteger(getLhs()))
    return zeroOf(getType());
  return {};
}

OpFoldResult MulOp::fold(FoldAdaptor adaptor) {
  if (isSplat(adaptor.getRhs(), 1.0))
    return ifTyped(getLhs(), getType());
  if (isSplat(adaptor.getLhs(), 1.0))
    return ifTyped(getRhs(), getType());
  if (isInteger(getLhs()) && (isSplat(adaptor.getLhs(), 0.0) || isSplat(adaptor.getRhs(), 0.0)))
    return zeroOf(getType());
  return {};
}

OpFoldResult DivOp::fold(FoldAdaptor adaptor) {
  return isSplat(adaptor.getRhs(), 1.0) ? ifTyped(getLhs(), getType()) : OpFoldResult();
}

OpFoldResult SelectOp::fold(FoldAdaptor adaptor) {
  if (getOnTrue() == getOnFalse())
    return ifTyped(getOnTrue(), getType());
  if (std::optional<double> predicate = splatValue(adaptor.getPredicate()))
    return ifTyped(*predicate != 0.0 ? getOnTrue() : getOnFalse(), getType());
  return {};
}

/// Whether every value of `narrow` is a value of `wide`, so that a conversion there and back
/// changes nothing.
static bool holdsAll(Type wide, Type narrow) {
  unsigned wideBits = wide.getIntOrFloatBitWidth(), narrowBits = narrow.getIntOrFloatBitWidth();
  if (isa<IntegerType>(narrow) && narrowBits == 1)
    return true;
  if (auto floating = dyn_cast<FloatType>(wide)) {
    if (auto other = dyn_cast<FloatType>(narrow))
      return wideBits > narrowBits;
    return narrowBits <= floating.getFPMantissaWidth();
  }
  return isa<IntegerType>(narrow) && wideBits > narrowBits && wideBits > 1;
}

OpFoldResult ConvertOp::fold(FoldAdaptor) {
  if (getX().getType() == getType())
    return getX();
  auto inner = getX().getDefiningOp<ConvertOp>();
  if (inner && inner.getX().getType() == getType() &&
      holdsAll(inner.getType().getElementType(), getType().getElementType()))
    return inner.getX();
  return {};
}

OpFoldResult ReshapeOp::fold(FoldAdaptor) {
  if (getX().getType() == getType())
    return getX();
  if (auto inner = getX().getDefiningOp<ReshapeOp>()) {
    getXMutable().assign(inner.getX());
    return getResult();
  }
  return {};
}

OpFoldResult TransposeOp::fold(FoldAdaptor) {
  if (llvm::equal(getPermutation(), llvm::seq<int64_t>(0, getPermutation().size())))
    return getX();
  if (auto inner = getX().getDefiningOp<TransposeOp>()) {
    SmallVector<int64_t> permutation;
    for (int64_t dim : getPermutation())
      permutation.push_back(inner.getPermutation()[dim]);
    getXMutable().assign(inner.getX());
    setPermutation(permutation);
    return getResult();
  }
  return {};
}

OpFoldResult BroadcastOp::fold(FoldAdaptor) {
  if (getX().getType() == getType())
    return getX();
  if (auto inner = getX().getDefiningOp<BroadcastOp>()) {
    SmallVector<int64_t> dims;
    for (int64_t dim : inner.getDims())
      dims.push_back(getDims()[dim]);
    getXMutable().assign(inner.getX());
    setDims(dims);
    return getResult();
  }
  return {};
}

OpFoldResult SliceOp::fold(FoldAdaptor) {
  // Of equal shape means whole: starts are 0 and strides 1, or the dimension has one element.
  return ifTyped(getX(), getType());
}

OpFoldResult PadOp::fold(FoldAdaptor) { return ifTyped(getX(), getType()); }

/// x to the power of a constant that has a cheaper op.
LogicalResult PowOp::canonicalize(PowOp op, PatternRewriter &rewriter) {
  DenseElementsAttr constant;
  Value x = op.getLhs();
  if (x.getType() != op.getType() || !matchPattern(op.getRhs(), m_Constant(&constant)))
    return failure();
  std::optional<double> exponent = splatValue(constant);
  if (exponent == 1.0)
    rewriter.replaceOp(op, x);
  else if (exponent == 2.0)
    rewriter.replaceOpWithNewOp<MulOp>(op, x, x);
  else if (exponent == 3.0)
    rewriter.replaceOpWithNewOp<MulOp>(op, MulOp::create(rewriter, op.getLoc(), x, x), x);
  else if (exponent == 0.5)
    rewriter.replaceOpWithNewOp<SqrtOp>(op, op.getType(), x);
  else if (exponent == -0.5)
    rewriter.replaceOpWithNewOp<RsqrtOp>(op, op.getType(), x);
  else if (exponent == -1.0)
    rewriter.replaceOpWithNewOp<ReciprocalOp>(op, op.getType(), x);
  else
    return failure();
  return success();
}

} // namespace deepshard::graph
