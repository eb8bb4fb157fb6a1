//===- VjpBuilder.cpp - helpers shared by the gradient rules ----------------------------------===//

#include "dialects/graph/VjpBuilder.h"

#include "dialects/graph/Graph.h"

using namespace mlir;

namespace deepshard::graph {

Value VjpBuilder::reduceTo(Value value, RankedTensorType type) {
  auto from = cast<RankedTensorType>(value.getType());
  int64_t added = from.getRank() - type.getRank();
  SmallVector<int64_t> dims;
  for (int64_t dim = 0; dim < from.getRank(); ++dim)
    if (dim < added || (type.getDimSize(dim - added) == 1 && from.getDimSize(dim) != 1))
      dims.push_back(dim);
  if (dims.empty())
    return value;
  // One reduction, so that sums are rounded once; the sizes of 1 come back by a reshape.
  return reshape(make<ReduceSumOp>(value, dims, /*keep_dims=*/false), type);
}

Value VjpBuilder::splat(RankedTensorType type, double value) {
  Type element = type.getElementType();
  Attribute attribute = isa<FloatType>(element)
                            ? Attribute(builder().getFloatAttr(element, value))
                            : Attribute(builder().getIntegerAttr(element, int64_t(value)));
  return ConstantOp::create(builder(), location(), DenseElementsAttr::get(type, attribute));
}

Value VjpBuilder::scalar(Value like, double value) {
  return splat(RankedTensorType::get({}, cast<RankedTensorType>(like.getType()).getElementType()),
               value);
}

Value VjpBuilder::convert(Value value, Type elementType) {
  auto type = cast<RankedTensorType>(value.getType());
  if (type.getElementType() == elementType)
    return value;
  auto rounded = value.getDefiningOp<ConvertOp>();
  if (rounded && rounded.getX().getType().getElementType() == elementType &&
      accumulationType(type.getElementType()) == elementType)
    return rounded.getX();
  return make<ConvertOp>(type.clone(elementType), value);
}

TypeAttr VjpBuilder::accumulatedType(unsigned operand, Value like) const {
  Type type = gradientType(operand);
  return type == cast<RankedTensorType>(like.getType()).getElementType() ? TypeAttr()
                                                                         : TypeAttr::get(type);
}

Value VjpBuilder::reshape(Value value, RankedTensorType type) {
  if (cast<RankedTensorType>(value.getType()).getShape() == type.getShape())
    return value;
  return make<ReshapeOp>(type, value);
}

} // namespace deepshard::graph
