//===- ConvolutionOps.cpp - types and costs of convolutions -----------------------------------===//

#include "dialects/graph/Graph.h"
#include "dialects/graph/Inference.h"

#include "mlir/IR/BuiltinTypes.h"

using namespace mlir;

namespace deepshard::graph {
namespace {

constexpr int64_t kFirstSpatial = 2; // behind batch and channels
constexpr int64_t kMostSpatial = 3;

using Shape = SmallVector<int64_t>;

/// The window of a convolution of `x` with `weight`, both given by their shapes.
struct Window {
  ArrayRef<int64_t> strides, low, high, dilations;
  int64_t groups;

  template <typename Adaptor>
  explicit Window(Adaptor adaptor)
      : strides(adaptor.getStrides()), low(adaptor.getLow()), high(adaptor.getHigh()),
        dilations(adaptor.getDilations()), groups(static_cast<int64_t>(adaptor.getGroups())) {}

  /// Every attribute has `spatial` entries that make sense.
  LogicalResult check(OptionalLocation location, int64_t spatial) const {
    for (auto [name, values, least] : {std::tuple(StringRef("strides"), strides, int64_t{1}),
                                       {"low", low, 0},
                                       {"high", high, 0},
                                       {"dilations", dilations, 1}}) {
      if (static_cast<int64_t>(values.size()) != spatial)
        return emitOptionalError(location, name, " has ", values.size(), " entries for ", spatial,
                                 " spatial dimensions");
      for (auto [dim, value] : llvm::enumerate(values))
        if (value < least)
          return emitOptionalError(location, name, " of spatial dimension ", dim, " is ", value,
                                   "; expected ", least, " or more");
    }
    if (groups < 1)
      return emitOptionalError(location, "groups is ", groups, "; expected 1 or more");
    return success();
  }

  /// The sizes of y in the spatial dimensions.
  FailureOr<Shape> resultSizes(OptionalLocation location, ArrayRef<int64_t> x,
                               ArrayRef<int64_t> kernel) const {
    Shape sizes;
    for (size_t dim = 0; dim < x.size(); ++dim) {
      int64_t reach = (kernel[dim] - 1) * dilations[dim] + 1;
      int64_t padded = low[dim] + x[dim] + high[dim];
      if (kernel[dim] < 1 || x[dim] < 0 || reach > padded) {
        (void)emitOptionalError(location, "in spatial dimension ", dim, " a kernel of size ",
                                kernel[dim], " and dilation ", dilations[dim], " reaches over ",
                                reach, " elements, but x of size ", x[dim], " has ", padded,
                                " with its padding");
        return failure();
      }
      sizes.push_back((padded - reach) / strides[dim] + 1);
    }
    return sizes;
  }
};

/// Two operands of one floating element type and one rank that has spatial dimensions.
FailureOr<std::pair<RankedTensorType, RankedTensorType>>
operandTypes(OptionalLocation location, StringRef firstName, Value first, StringRef secondName,
             Value second) {
  FailureOr<RankedTensorType> firstType = tensorType(location, firstName, first);
  FailureOr<RankedTensorType> secondType = tensorType(location, secondName, second);
  if (failed(firstType) || failed(secondType) ||
      failed(checkElementTypes(location, firstName, *firstType, secondName, *secondType)))
    return failure();
  int64_t spatial = firstType->getRank() - kFirstSpatial;
  if (spatial < 1 || spatial > kMostSpatial) {
    (void)emitOptionalError(location, "'", firstName, "' has rank ", firstType->getRank(),
                            "; expected rank 3 to 5: batch, channels and 1 to 3 spatial "
                            "dimensions");
    return failure();
  }
  if (failed(checkRank(location, secondName, *secondType, firstType->getRank())))
    return failure();
  return std::pair(*firstType, *secondType);
}

/// `groups` divides dimension `dim` of `type`.
LogicalResult checkGroups(OptionalLocation location, int64_t groups, StringRef name,
                          RankedTensorType type, int64_t dim) {
  if (type.getDimSize(dim) % groups == 0)
    return success();
  return emitOptionalError(location, "dimension ", dim, " of '", name, "' is ",
                           type.getDimSize(dim), ", which ", groups, " groups do not divide");
}

ArrayRef<int64_t> spatialSizes(RankedTensorType type) {
  return type.getShape().drop_front(kFirstSpatial);
}

/// `dims`, then `spatial`.
RankedTensorType shaped(RankedTensorType like, ArrayRef<int64_t> dims, ArrayRef<int64_t> spatial) {
  Shape shape(dims);
  llvm::append_range(shape, spatial);
  return RankedTensorType::get(shape, like.getElementType());
}

/// What both gradients check first: operands dy and `other`, the attributes, and `sizes`, which
/// stand for the spatial dimensions of the tensor that the op does not have.
FailureOr<std::pair<RankedTensorType, RankedTensorType>>
gradOperandTypes(OptionalLocation location, Value dy, StringRef name, Value other,
                 ArrayRef<int64_t> sizes, const Window &window) {
  auto types = operandTypes(location, "dy", dy, name, other);
  if (failed(types))
    return failure();
  int64_t spatial = types->first.getRank() - kFirstSpatial;
  if (static_cast<int64_t>(sizes.size()) != spatial) {
    (void)emitOptionalError(location, "sizes has ", sizes.size(), " entries for ", spatial,
                            " spatial dimensions");
    return failure();
  }
  if (failed(window.check(location, spatial)))
    return failure();
  return types;
}

} // namespace

LogicalResult ConvolutionOp::inferReturnTypes(MLIRContext *, OptionalLocation location,
                                              Adaptor adaptor, SmallVectorImpl<Type> &types) {
  auto operands = operandTypes(location, "x", adaptor.getX(), "weight", adaptor.getWeight());
  if (failed(operands))
    return failure();
  auto [x, weight] = *operands;
  Window window(adaptor);
  if (failed(window.check(location, x.getRank() - kFirstSpatial)) ||
      failed(checkGroups(location, window.groups, "weight", weight, 0)))
    return failure();
  if (x.getDimSize(1) != window.groups * weight.getDimSize(1))
    return emitOptionalError(location, "dimension 1 of 'x' is ", x.getDimSize(1),
                             " but dimension 1 of 'weight' is ", weight.getDimSize(1), " in ",
                             window.groups, " groups");
  FailureOr<Shape> sizes = window.resultSizes(location, spatialSizes(x), spatialSizes(weight));
  if (failed(sizes))
    return failure();
  types.push_back(shaped(x, {x.getDimSize(0), weight.getDimSize(0)}, *sizes));
  return success();
}

LogicalResult ConvolutionInputGradOp::inferReturnTypes(MLIRContext *, OptionalLocation location,
                                                       Adaptor adaptor,
                                                       SmallVectorImpl<Type> &types) {
  Window window(adaptor);
  auto operands = gradOperandTypes(location, adaptor.getDy(), "weight", adaptor.getWeight(),
                                   adaptor.getSizes(), window);
  if (failed(operands))
    return failure();
  auto [dy, weight] = *operands;
  if (failed(checkGroups(location, window.groups, "weight", weight, 0)))
    return failure();
  FailureOr<Shape> sizes = window.resultSizes(location, adaptor.getSizes(), spatialSizes(weight));
  if (failed(sizes))
    return failure();
  RankedTensorType y = shaped(dy, {dy.getDimSize(0), weight.getDimSize(0)}, *sizes);
  if (failed(checkShape(location, "dy", dy, "the result of the convolution", y.getShape())))
    return failure();
  types.push_back(
      shaped(dy, {dy.getDimSize(0), window.groups * weight.getDimSize(1)}, adaptor.getSizes()));
  return success();
}

LogicalResult ConvolutionWeightGradOp::inferReturnTypes(MLIRContext *, OptionalLocation location,
                                                        Adaptor adaptor,
                                                        SmallVectorImpl<Type> &types) {
  Window window(adaptor);
  auto operands =
      gradOperandTypes(location, adaptor.getDy(), "x", adaptor.getX(), adaptor.getSizes(), window);
  if (failed(operands))
    return failure();
  auto [dy, x] = *operands;
  if (failed(checkAccumulated(location, dy, adaptor.getElementType())) ||
      failed(checkGroups(location, window.groups, "dy", dy, 1)) ||
      failed(checkGroups(location, window.groups, "x", x, 1)))
    return failure();
  FailureOr<Shape> sizes = window.resultSizes(location, spatialSizes(x), adaptor.getSizes());
  if (failed(sizes))
    return failure();
  RankedTensorType y = shaped(dy, {x.getDimSize(0), dy.getDimSize(1)}, *sizes);
  if (failed(checkShape(location, "dy", dy, "the result of the convolution", y.getShape())))
    return failure();
  RankedTensorType type =
      shaped(dy, {dy.getDimSize(1), x.getDimSize(1) / window.groups}, adaptor.getSizes());
  types.push_back(type.clone(adaptor.getElementType().value_or(dy.getElementType())));
  return success();
}

//===----------------------------------------------------------------------===//
// Costs
//===----------------------------------------------------------------------===//

/// Every element of y takes one product per element of the kernel and input channel of a group, in
/// the gradients too. Products with the padding count, as profilers count them.
static OpCost convolutionCost(Operation *op, RankedTensorType y, RankedTensorType weight) {
  OpCost cost = elementwiseCost(op);
  cost.flops = 2 * y.getNumElements();
  for (int64_t size : weight.getShape().drop_front())
    cost.flops *= size;
  return cost;
}

OpCost ConvolutionOp::getCost() {
  return convolutionCost(*this, getY().getType(), getWeight().getType());
}

OpCost ConvolutionInputGradOp::getCost() {
  return convolutionCost(*this, getDy().getType(), getWeight().getType());
}

OpCost ConvolutionWeightGradOp::getCost() {
  return convolutionCost(*this, getDy().getType(), getDweight().getType());
}

} // namespace deepshard::graph
