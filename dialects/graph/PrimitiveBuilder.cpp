//===- PrimitiveBuilder.cpp - short names for building primitives -----------------------------===//

#include "dialects/graph/PrimitiveBuilder.h"

using namespace mlir;

namespace deepshard::graph {

Value PrimitiveBuilder::scalar(Type elementType, double value) {
  auto type = RankedTensorType::get({}, elementType);
  TypedAttr element;
  if (isa<FloatType>(elementType))
    element = builder.getFloatAttr(elementType, value);
  else
    element = builder.getIntegerAttr(elementType, static_cast<int64_t>(value));
  return ConstantOp::create(builder, location, DenseElementsAttr::get(type, Attribute(element)));
}

Value PrimitiveBuilder::convert(Value x, Type elementType) {
  if (elementTypeOf(x) == elementType)
    return x;
  return ConvertOp::create(builder, location, typeOf(x).clone(elementType), x);
}

Value PrimitiveBuilder::reshape(Value x, ArrayRef<int64_t> shape) {
  if (typeOf(x).getShape() == shape)
    return x;
  return ReshapeOp::create(builder, location, RankedTensorType::get(shape, elementTypeOf(x)), x);
}

Value PrimitiveBuilder::iota(Type elementType, ArrayRef<int64_t> shape, int64_t dim) {
  return IotaOp::create(builder, location, RankedTensorType::get(shape, elementType), dim);
}

} // namespace deepshard::graph
