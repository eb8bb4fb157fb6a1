//===- ContractionOps.cpp - types and costs of sums of products -------------------------------===//

#include "dialects/graph/Graph.h"
#include "dialects/graph/Inference.h"

using namespace mlir;

namespace deepshard::graph {

/// Marks the batch and contracting dimensions of one side; an error if one is not a dimension or
/// named twice.
static FailureOr<SmallVector<bool>> markDimensions(OptionalLocation location, StringRef side,
                                                   RankedTensorType type, ArrayRef<int64_t> batch,
                                                   ArrayRef<int64_t> contract) {
  SmallVector<bool> named(type.getRank(), false);
  for (auto [dims, what] :
       {std::pair(batch, "batch: dimension"), std::pair(contract, "contract: dimension")}) {
    for (int64_t dim : dims) {
      if (failed(checkDimension(location, what, dim, side, type.getRank())))
        return failure();
      if (named[dim]) {
        (void)emitOptionalError(location, "dimension ", dim, " of '", side, "' is named twice");
        return failure();
      }
      named[dim] = true;
    }
  }
  return named;
}

/// The two lists pair dimensions of equal size.
static LogicalResult checkPairs(OptionalLocation location, StringRef what, RankedTensorType lhs,
                                ArrayRef<int64_t> lhsDims, RankedTensorType rhs,
                                ArrayRef<int64_t> rhsDims) {
  if (lhsDims.size() != rhsDims.size())
    return emitOptionalError(location, what, " names ", lhsDims.size(), " dimensions of 'lhs' but ",
                             rhsDims.size(), " of 'rhs'");
  for (auto [lhsDim, rhsDim] : llvm::zip_equal(lhsDims, rhsDims))
    if (failed(checkSizes(location, "lhs", lhs, lhsDim, "rhs", rhs, rhsDim)))
      return failure();
  return success();
}

void MatmulOp::build(OpBuilder &builder, OperationState &state, Value lhs, Value rhs,
                     ArrayRef<int64_t> lhsBatch, ArrayRef<int64_t> rhsBatch,
                     ArrayRef<int64_t> lhsContract, ArrayRef<int64_t> rhsContract) {
  build(builder, state, lhs, rhs, lhsBatch, rhsBatch, lhsContract, rhsContract, TypeAttr());
}

LogicalResult MatmulOp::inferReturnTypes(MLIRContext *, OptionalLocation location, Adaptor adaptor,
                                         SmallVectorImpl<Type> &types) {
  FailureOr<RankedTensorType> lhs = tensorType(location, "lhs", adaptor.getLhs());
  FailureOr<RankedTensorType> rhs = tensorType(location, "rhs", adaptor.getRhs());
  if (failed(lhs) || failed(rhs) || failed(checkElementTypes(location, "lhs", *lhs, "rhs", *rhs)) ||
      failed(checkAccumulated(location, *lhs, adaptor.getElementType())))
    return failure();
  FailureOr<SmallVector<bool>> lhsNamed =
      markDimensions(location, "lhs", *lhs, adaptor.getLhsBatch(), adaptor.getLhsContract());
  FailureOr<SmallVector<bool>> rhsNamed =
      markDimensions(location, "rhs", *rhs, adaptor.getRhsBatch(), adaptor.getRhsContract());
  if (failed(lhsNamed) || failed(rhsNamed) ||
      failed(checkPairs(location, "batch", *lhs, adaptor.getLhsBatch(), *rhs,
                        adaptor.getRhsBatch())) ||
      failed(checkPairs(location, "contract", *lhs, adaptor.getLhsContract(), *rhs,
                        adaptor.getRhsContract())))
    return failure();
  SmallVector<int64_t> shape;
  for (int64_t dim : adaptor.getLhsBatch())
    shape.push_back(lhs->getDimSize(dim));
  for (int64_t dim = 0; dim < lhs->getRank(); ++dim)
    if (!(*lhsNamed)[dim])
      shape.push_back(lhs->getDimSize(dim));
  for (int64_t dim = 0; dim < rhs->getRank(); ++dim)
    if (!(*rhsNamed)[dim])
      shape.push_back(rhs->getDimSize(dim));
  types.push_back(
      RankedTensorType::get(shape, adaptor.getElementType().value_or(lhs->getElementType())));
  return success();
}

LogicalResult LinearOp::inferReturnTypes(MLIRContext *, OptionalLocation location, Adaptor adaptor,
                                         SmallVectorImpl<Type> &types) {
  FailureOr<RankedTensorType> x = tensorType(location, "x", adaptor.getX());
  FailureOr<RankedTensorType> weight = tensorType(location, "weight", adaptor.getWeight());
  if (failed(x) || failed(weight) ||
      failed(checkElementTypes(location, "x", *x, "weight", *weight)))
    return failure();
  if (weight->getRank() < 2)
    return emitOptionalError(location, "'weight' has rank ", weight->getRank(),
                             "; expected rank 2 or more");
  if (x->getRank() < 1)
    return emitOptionalError(location, "'x' is a scalar; expected rank 1 or more");
  bool transposed = adaptor.getTransposeWeight();
  if (failed(checkSizes(location, "x", *x, x->getRank() - 1, "weight", *weight,
                        transposed ? weight->getRank() - 1 : 0)))
    return failure();
  ArrayRef<int64_t> columns =
      transposed ? weight->getShape().drop_back() : weight->getShape().drop_front();
  if (Value bias = adaptor.getBias()) {
    FailureOr<RankedTensorType> biasType = tensorType(location, "bias", bias);
    if (failed(biasType) || failed(checkElementTypes(location, "x", *x, "bias", *biasType)) ||
        failed(
            checkShape(location, "bias", *biasType, "one element per column of weight", columns)))
      return failure();
  }
  SmallVector<int64_t> shape(x->getShape().drop_back());
  llvm::append_range(shape, columns);
  types.push_back(RankedTensorType::get(shape, x->getElementType()));
  return success();
}

OpCost MatmulOp::getCost() {
  OpCost cost = elementwiseCost(*this);
  cost.flops = 2 * getResult().getType().getNumElements();
  for (int64_t dim : getLhsContract())
    cost.flops *= getLhs().getType().getDimSize(dim);
  return cost;
}

OpCost LinearOp::getCost() {
  OpCost cost = elementwiseCost(*this);
  int64_t elements = getY().getType().getNumElements();
  cost.flops = 2 * elements * getX().getType().getShape().back() + (getBias() ? elements : 0);
  return cost;
}

} // namespace deepshard::graph
