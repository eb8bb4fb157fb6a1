//===- IndexingOps.cpp - types of ops that choose elements by elements ------------------------===//

#include "dialects/graph/Graph.h"
#include "dialects/graph/Inference.h"

using namespace mlir;

namespace deepshard::graph {

LogicalResult EmbeddingOp::inferReturnTypes(MLIRContext *, OptionalLocation location,
                                            Adaptor adaptor, SmallVectorImpl<Type> &types) {
  FailureOr<RankedTensorType> table = tensorType(location, "table", adaptor.getTable());
  FailureOr<RankedTensorType> ids = tensorType(location, "ids", adaptor.getIds());
  if (failed(table) || failed(ids))
    return failure();
  if (table->getRank() < 2)
    return emitOptionalError(location, "'table' has rank ", table->getRank(),
                             "; expected rank 2 or more");
  SmallVector<int64_t> shape(ids->getShape());
  llvm::append_range(shape, table->getShape().drop_front());
  types.push_back(RankedTensorType::get(shape, table->getElementType()));
  return success();
}

LogicalResult EmbeddingOp::verify() {
  std::optional<uint64_t> globalRows = getGlobalRows();
  if (static_cast<bool>(getOffset()) != globalRows.has_value())
    return emitOpError("takes 'offset' and 'global_rows' together");
  auto rows = static_cast<uint64_t>(getTable().getType().getDimSize(0));
  if (globalRows && *globalRows < rows)
    return emitOpError() << "global_rows is " << *globalRows << ", but 'table' has " << rows
                         << " rows";
  return success();
}

void EmbeddingOp::build(OpBuilder &builder, OperationState &state, Value table, Value ids) {
  build(builder, state, table, ids, Value(), IntegerAttr());
}

void EmbeddingGradOp::build(OpBuilder &builder, OperationState &state, Value dy, Value ids,
                            int64_t rows) {
  build(builder, state, dy, ids, Value(), builder.getI64IntegerAttr(rows));
}

LogicalResult EmbeddingGradOp::inferReturnTypes(MLIRContext *, OptionalLocation location,
                                                Adaptor adaptor, SmallVectorImpl<Type> &types) {
  FailureOr<RankedTensorType> dy = tensorType(location, "dy", adaptor.getDy());
  FailureOr<RankedTensorType> ids = tensorType(location, "ids", adaptor.getIds());
  if (failed(dy) || failed(ids))
    return failure();
  if (dy->getRank() <= ids->getRank())
    return emitOptionalError(location, "'dy' has rank ", dy->getRank(),
                             "; expected more than rank ", ids->getRank(), " of 'ids'");
  for (int64_t dim = 0; dim < ids->getRank(); ++dim)
    if (failed(checkSizes(location, "dy", *dy, dim, "ids", *ids, dim)))
      return failure();
  int64_t rows = static_cast<int64_t>(adaptor.getRows());
  if (rows < 0)
    return emitOptionalError(location, "rows is ", rows, "; expected 0 or more");
  SmallVector<int64_t> shape = {rows};
  llvm::append_range(shape, dy->getShape().drop_front(ids->getRank()));
  types.push_back(RankedTensorType::get(shape, dy->getElementType()));
  return success();
}

/// `index` has the rank of `of` and is no larger in every dimension but `dim`.
static LogicalResult checkIndex(OptionalLocation location, RankedTensorType index, StringRef name,
                                RankedTensorType of, int64_t dim) {
  if (index.getRank() != of.getRank())
    return emitOptionalError(location, "'index' has rank ", index.getRank(), " but '", name,
                             "' has rank ", of.getRank());
  if (failed(checkDimension(location, "dim", dim, name, of.getRank())))
    return failure();
  for (int64_t i = 0; i < of.getRank(); ++i)
    if (i != dim && index.getDimSize(i) > of.getDimSize(i))
      return emitOptionalError(location, "dimension ", i, " of 'index' is ", index.getDimSize(i),
                               ", larger than dimension ", i, " of '", name, "', which is ",
                               of.getDimSize(i));
  return success();
}

LogicalResult GatherOp::inferReturnTypes(MLIRContext *, OptionalLocation location, Adaptor adaptor,
                                         SmallVectorImpl<Type> &types) {
  FailureOr<RankedTensorType> x = tensorType(location, "x", adaptor.getX());
  FailureOr<RankedTensorType> index = tensorType(location, "index", adaptor.getIndex());
  if (failed(x) || failed(index) ||
      failed(checkIndex(location, *index, "x", *x, static_cast<int64_t>(adaptor.getDim()))))
    return failure();
  types.push_back(RankedTensorType::get(index->getShape(), x->getElementType()));
  return success();
}

LogicalResult ScatterAddOp::verify() {
  RankedTensorType updates = getUpdates().getType(), result = getResult().getType();
  if (failed(checkShape(getLoc(), "updates", updates, "the shape of index",
                        getIndex().getType().getShape())) ||
      failed(checkElementTypes(getLoc(), "updates", updates, "result", result)))
    return failure();
  return checkIndex(getLoc(), getIndex().getType(), "result", result,
                    static_cast<int64_t>(getDim()));
}

} // namespace deepshard::graph
