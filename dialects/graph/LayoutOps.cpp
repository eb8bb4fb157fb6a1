//===- LayoutOps.cpp - types of ops that move elements ----------------------------------------===//

#include "dialects/graph/Graph.h"
#include "dialects/graph/Inference.h"

#include "mlir/IR/AsmState.h"
#include "mlir/IR/DialectResourceBlobManager.h"

using namespace mlir;

namespace deepshard::graph {

bool isView(Operation *op) { return isa<ReshapeOp, TransposeOp, BroadcastOp, SliceOp>(op); }

LogicalResult ConstantOp::verify() {
  if (isa<DenseElementsAttr>(getValue()))
    return success();
  auto resource = dyn_cast<DenseResourceElementsAttr>(getValue());
  if (!resource)
    return emitOpError() << "value must be dense<...> or dense_resource<...>";
  StringRef key = resource.getRawHandle().getKey();
  AsmResourceBlob *blob = resource.getRawHandle().getBlob();
  if (!blob)
    return emitOpError() << "resource '" << key
                         << "' has no data; define it under dialect_resources: builtin: at the end "
                            "of the file";
  RankedTensorType type = getResult().getType();
  size_t expected = type.getNumElements() * llvm::divideCeil(type.getElementTypeBitWidth(), 8);
  if (blob->getData().size() != expected)
    return emitOpError() << "resource '" << key << "' has " << blob->getData().size()
                         << " bytes of data; expected " << expected << " for " << type;
  return success();
}

LogicalResult IotaOp::verify() {
  return checkDimension(getLoc(), "dim", static_cast<int64_t>(getDim()), "result",
                        getResult().getType().getRank());
}

LogicalResult ReshapeOp::verify() {
  RankedTensorType x = getX().getType(), result = getResult().getType();
  if (failed(checkElementTypes(getLoc(), "x", x, "result", result)))
    return failure();
  if (x.getNumElements() != result.getNumElements())
    return emitOpError() << "cannot turn " << shapeText(x.getShape()) << ", " << x.getNumElements()
                         << " elements, into " << shapeText(result.getShape()) << ", "
                         << result.getNumElements() << " elements";
  return success();
}

LogicalResult TransposeOp::inferReturnTypes(MLIRContext *, OptionalLocation location,
                                            Adaptor adaptor, SmallVectorImpl<Type> &types) {
  FailureOr<RankedTensorType> x = tensorType(location, "x", adaptor.getX());
  if (failed(x) ||
      failed(checkEntries(location, "permutation", adaptor.getPermutation(), x->getRank())))
    return failure();
  SmallVector<bool> seen(x->getRank(), false);
  SmallVector<int64_t> shape;
  for (int64_t dim : adaptor.getPermutation()) {
    if (failed(checkDimension(location, "permutation: dimension", dim, "x", x->getRank())))
      return failure();
    if (seen[dim])
      return emitOptionalError(location, "permutation names dimension ", dim, " twice");
    seen[dim] = true;
    shape.push_back(x->getDimSize(dim));
  }
  types.push_back(RankedTensorType::get(shape, x->getElementType()));
  return success();
}

LogicalResult BroadcastOp::verify() {
  RankedTensorType x = getX().getType(), result = getResult().getType();
  if (failed(checkElementTypes(getLoc(), "x", x, "result", result)) ||
      failed(checkEntries(getLoc(), "dims", getDims(), x.getRank())))
    return failure();
  int64_t previous = -1;
  for (auto [dim, to] : llvm::enumerate(getDims())) {
    if (failed(checkDimension(getLoc(), "dims: dimension", to, "result", result.getRank())))
      return failure();
    if (to <= previous)
      return emitOpError() << "dims must ascend, but " << to << " follows " << previous;
    previous = to;
    if (x.getDimSize(dim) != 1 && x.getDimSize(dim) != result.getDimSize(to))
      return emitOpError() << "dimension " << dim << " of 'x' is " << x.getDimSize(dim)
                           << "; expected 1 or " << result.getDimSize(to) << ", dimension " << to
                           << " of the result";
  }
  return success();
}

LogicalResult SliceOp::inferReturnTypes(MLIRContext *, OptionalLocation location, Adaptor adaptor,
                                        SmallVectorImpl<Type> &types) {
  FailureOr<RankedTensorType> x = tensorType(location, "x", adaptor.getX());
  if (failed(x) || failed(checkEntries(location, "starts", adaptor.getStarts(), x->getRank())) ||
      failed(checkEntries(location, "limits", adaptor.getLimits(), x->getRank())) ||
      failed(checkEntries(location, "strides", adaptor.getStrides(), x->getRank())))
    return failure();
  SmallVector<int64_t> shape;
  for (int64_t dim = 0; dim < x->getRank(); ++dim) {
    int64_t start = adaptor.getStarts()[dim], limit = adaptor.getLimits()[dim],
            stride = adaptor.getStrides()[dim];
    if (start < 0 || start > limit || limit > x->getDimSize(dim))
      return emitOptionalError(location, "dimension ", dim, " of 'x', of size ", x->getDimSize(dim),
                               ", has no range ", start, " to ", limit,
                               "; expected 0 <= start <= limit <= size");
    if (stride < 1)
      return emitOptionalError(location, "stride of dimension ", dim, " is ", stride,
                               "; expected 1 or more");
    shape.push_back((limit - start + stride - 1) / stride);
  }
  types.push_back(RankedTensorType::get(shape, x->getElementType()));
  return success();
}

LogicalResult PadOp::inferReturnTypes(MLIRContext *, OptionalLocation location, Adaptor adaptor,
                                      SmallVectorImpl<Type> &types) {
  FailureOr<RankedTensorType> x = tensorType(location, "x", adaptor.getX());
  if (failed(x))
    return failure();
  for (auto [name, values] : {std::pair(StringRef("low"), adaptor.getLow()),
                              {"high", adaptor.getHigh()},
                              {"interior", adaptor.getInterior()}}) {
    if (failed(checkEntries(location, name, values, x->getRank())))
      return failure();
    for (auto [dim, value] : llvm::enumerate(values))
      if (value < 0)
        return emitOptionalError(location, name, " of dimension ", dim, " is ", value,
                                 "; expected 0 or more");
  }
  SmallVector<int64_t> shape;
  for (int64_t dim = 0; dim < x->getRank(); ++dim) {
    int64_t size = x->getDimSize(dim);
    shape.push_back(adaptor.getLow()[dim] + size +
                    std::max<int64_t>(size - 1, 0) * adaptor.getInterior()[dim] +
                    adaptor.getHigh()[dim]);
  }
  types.push_back(RankedTensorType::get(shape, x->getElementType()));
  return success();
}

LogicalResult PadOp::verify() {
  if (failed(checkElementTypes(getLoc(), "x", getX().getType(), "value", getValue().getType())))
    return failure();
  return checkRank(getLoc(), "value", getValue().getType(), 0);
}

void PadOp::build(OpBuilder &builder, OperationState &state, Value x, Value value,
                  ArrayRef<int64_t> low, ArrayRef<int64_t> high) {
  SmallVector<int64_t> interior(low.size(), 0);
  build(builder, state, x, value, low, high, interior);
}

LogicalResult ConcatOp::inferReturnTypes(MLIRContext *, OptionalLocation location, Adaptor adaptor,
                                         SmallVectorImpl<Type> &types) {
  if (adaptor.getOperands().empty())
    return emitOptionalError(location, "concat needs at least one operand");
  FailureOr<RankedTensorType> first =
      tensorType(location, "operand 0", adaptor.getOperands().front());
  int64_t dim = static_cast<int64_t>(adaptor.getDim());
  if (failed(first) || failed(checkDimension(location, "dim", dim, "operand 0", first->getRank())))
    return failure();
  SmallVector<int64_t> shape(first->getShape());
  for (auto [index, operand] : llvm::enumerate(adaptor.getOperands().drop_front())) {
    std::string name = "operand " + std::to_string(index + 1);
    FailureOr<RankedTensorType> type = tensorType(location, name, operand);
    if (failed(type) || failed(checkElementTypes(location, "operand 0", *first, name, *type)) ||
        failed(checkRank(location, name, *type, first->getRank())))
      return failure();
    for (int64_t i = 0; i < first->getRank(); ++i)
      if (i != dim && failed(checkSizes(location, "operand 0", *first, i, name, *type, i)))
        return failure();
    shape[dim] += type->getDimSize(dim);
  }
  types.push_back(RankedTensorType::get(shape, first->getElementType()));
  return success();
}

} // namespace deepshard::graph
