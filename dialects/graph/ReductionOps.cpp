//===- ReductionOps.cpp - types and folds of reductions ---------------------------------------===//

#include "dialects/graph/Graph.h"
#include "dialects/graph/Inference.h"

using namespace mlir;

namespace deepshard::graph {

namespace {

LogicalResult inferReduction(OptionalLocation location, Value x, ArrayRef<int64_t> dims,
                             bool keepDims, SmallVectorImpl<Type> &types) {
  FailureOr<RankedTensorType> type = tensorType(location, "x", x);
  if (failed(type))
    return failure();
  int64_t previous = -1;
  for (int64_t dim : dims) {
    if (failed(checkDimension(location, "dims: dimension", dim, "x", type->getRank())))
      return failure();
    if (dim <= previous)
      return emitOptionalError(location, "dims must be distinct and ascending, but ", dim,
                               " follows ", previous);
    previous = dim;
  }
  SmallVector<int64_t> shape;
  for (int64_t dim = 0; dim < type->getRank(); ++dim) {
    bool reduced = llvm::is_contained(dims, dim);
    if (!reduced || keepDims)
      shape.push_back(reduced ? 1 : type->getDimSize(dim));
  }
  types.push_back(RankedTensorType::get(shape, type->getElementType()));
  return success();
}

} // namespace

#define GRAPH_REDUCTION(OP)                                                                        \
  LogicalResult OP::inferReturnTypes(MLIRContext *, OptionalLocation location, Adaptor adaptor,    \
                                     SmallVectorImpl<Type> &types) {                               \
    return inferReduction(location, adaptor.getX(), adaptor.getDims(), adaptor.getKeepDims(),      \
                          types);                                                                  \
  }                                                                                                \
  OpFoldResult OP::fold(FoldAdaptor) {                                                             \
    return getDims().empty() ? OpFoldResult(getX()) : OpFoldResult();                              \
  }

GRAPH_REDUCTION(ReduceSumOp)
GRAPH_REDUCTION(ReduceMaxOp)
GRAPH_REDUCTION(ReduceMinOp)
GRAPH_REDUCTION(ReduceLogSumExpOp)
#undef GRAPH_REDUCTION

} // namespace deepshard::graph
