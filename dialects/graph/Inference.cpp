//===- Inference.cpp - checks that type inference and verifiers share -------------------------===//

#include "dialects/graph/Inference.h"

#include "dialects/graph/Graph.h"

#include "llvm/ADT/StringExtras.h"

#include <algorithm>

using namespace mlir;

namespace deepshard::graph {

Type accumulationType(Type elementType) {
  return elementType.isBF16() || elementType.isF16() ? Float32Type::get(elementType.getContext())
                                                     : elementType;
}

FailureOr<RankedTensorType> tensorType(OptionalLocation location, StringRef name, Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (type && type.hasStaticShape())
    return type;
  (void)emitOptionalError(location, "operand '", name, "' has type ", value.getType(),
                          "; expected a ranked tensor of static shape");
  return failure();
}

std::string shapeText(ArrayRef<int64_t> shape) {
  return shape.empty()
             ? "scalar"
             : llvm::join(llvm::map_range(shape, [](int64_t n) { return std::to_string(n); }), "x");
}

LogicalResult checkElementTypes(OptionalLocation location, StringRef first,
                                RankedTensorType firstType, StringRef second,
                                RankedTensorType secondType) {
  if (firstType.getElementType() == secondType.getElementType())
    return success();
  return emitOptionalError(location, "element type of '", first, "' is ",
                           firstType.getElementType(), " but that of '", second, "' is ",
                           secondType.getElementType(), "; insert graph.convert");
}

LogicalResult checkAccumulated(OptionalLocation location, RankedTensorType operand,
                               std::optional<Type> elementType) {
  Type from = operand.getElementType();
  if (!elementType || (elementType->isF32() && accumulationType(from) != from))
    return success();
  return emitOptionalError(location, "element_type is ", *elementType, " for operands of ", from,
                           "; expected f32 for operands of bf16 or f16");
}

LogicalResult checkDimension(OptionalLocation location, StringRef name, int64_t dim, StringRef of,
                             int64_t rank) {
  if (dim >= 0 && dim < rank)
    return success();
  return emitOptionalError(location, name, " ", dim, " is not a dimension of '", of,
                           "', which has rank ", rank);
}

LogicalResult checkRank(OptionalLocation location, StringRef name, RankedTensorType type,
                        int64_t rank) {
  if (type.getRank() == rank)
    return success();
  return emitOptionalError(location, "'", name, "' has rank ", type.getRank(), "; expected rank ",
                           rank);
}

LogicalResult checkSizes(OptionalLocation location, StringRef first, RankedTensorType firstType,
                         int64_t firstDim, StringRef second, RankedTensorType secondType,
                         int64_t secondDim) {
  if (firstType.getDimSize(firstDim) == secondType.getDimSize(secondDim))
    return success();
  return emitOptionalError(location, "dimension ", firstDim, " of '", first, "' is ",
                           firstType.getDimSize(firstDim), " but dimension ", secondDim, " of '",
                           second, "' is ", secondType.getDimSize(secondDim));
}

LogicalResult checkShape(OptionalLocation location, StringRef name, RankedTensorType type,
                         StringRef what, ArrayRef<int64_t> shape) {
  if (type.getShape() == shape)
    return success();
  if (type.getRank() != static_cast<int64_t>(shape.size()))
    return emitOptionalError(location, "'", name, "' has rank ", type.getRank(), " and shape ",
                             shapeText(type.getShape()), "; expected ", what, ", which is ",
                             shapeText(shape));
  size_t dim = 0;
  while (type.getDimSize(dim) == shape[dim])
    ++dim;
  return emitOptionalError(location, "dimension ", dim, " of '", name, "' is ",
                           type.getDimSize(dim), "; expected ", shape[dim], " from ", what,
                           ", which is ", shapeText(shape));
}

LogicalResult checkEntries(OptionalLocation location, StringRef name, ArrayRef<int64_t> values,
                           int64_t rank) {
  if (static_cast<int64_t>(values.size()) == rank)
    return success();
  return emitOptionalError(location, name, " has ", values.size(), " entries for a tensor of rank ",
                           rank);
}

LogicalResult checkPart(OptionalLocation location, StringRef name, ArrayRef<int64_t> shape,
                        Value offsets, std::optional<ArrayRef<int64_t>> globalShape) {
  if (static_cast<bool>(offsets) != globalShape.has_value())
    return emitOptionalError(location, "'offsets' and 'global_shape' must be given together");
  if (!offsets)
    return success();
  auto rank = static_cast<int64_t>(shape.size());
  if (failed(checkEntries(location, "global_shape", *globalShape, rank)) ||
      failed(checkShape(location, "offsets", cast<RankedTensorType>(offsets.getType()),
                        "one entry per dimension", rank)))
    return failure();
  for (int64_t dim = 0; dim < rank; ++dim)
    if (shape[dim] > (*globalShape)[dim])
      return emitOptionalError(location, "dimension ", dim, " of '", name, "' is ", shape[dim],
                               ", larger than ", (*globalShape)[dim], " of global_shape");
  return success();
}

FailureOr<SmallVector<int64_t>> broadcastShapes(OptionalLocation location,
                                                ArrayRef<StringRef> names,
                                                ArrayRef<RankedTensorType> types) {
  int64_t rank = 0;
  for (RankedTensorType type : types)
    rank = std::max(rank, type.getRank());
  SmallVector<int64_t> shape(rank, 1);
  SmallVector<size_t> owner(rank, 0);
  for (size_t operand = 0; operand < types.size(); ++operand) {
    int64_t missing = rank - types[operand].getRank();
    for (int64_t dim = missing; dim < rank; ++dim) {
      int64_t size = types[operand].getDimSize(dim - missing);
      if (size == 1 || size == shape[dim])
        continue;
      if (shape[dim] != 1) {
        (void)emitOptionalError(location, "shapes ", shapeText(types[owner[dim]].getShape()),
                                " and ", shapeText(types[operand].getShape()),
                                " do not broadcast: dimension ", dim, " is ", shape[dim], " in '",
                                names[owner[dim]], "' but ", size, " in '", names[operand], "'");
        return failure();
      }
      shape[dim] = size;
      owner[dim] = operand;
    }
  }
  return shape;
}

} // namespace deepshard::graph
