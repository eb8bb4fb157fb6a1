//===- IndexingVjp.cpp - gradients of indexing and random ops ---------------------------------===//

#include "dialects/graph/Graph.h"
#include "dialects/graph/VjpBuilder.h"

using namespace mlir;

namespace deepshard::graph {

/// A dense table: only the rows that were read are not zero.
LogicalResult EmbeddingOp::buildVjp(VjpBuilder &vjp) {
  int64_t rows = cast<RankedTensorType>(getTable().getType()).getDimSize(0);
  // Rows of equal id are added up.
  Value dy = vjp.cotangent(0);
  Value wide =
      vjp.convert(dy, accumulationType(cast<RankedTensorType>(dy.getType()).getElementType()));
  vjp.add(0, vjp.make<EmbeddingGradOp>(wide, getIds(), getOffset(), rows));
  return success();
}

LogicalResult GatherOp::buildVjp(VjpBuilder &vjp) {
  vjp.add(0, vjp.make<ScatterAddOp>(getX().getType(), vjp.cotangent(0), getIndex(), getDim()));
  return success();
}

/// The same op with the same id and counter drops the same elements: nothing is saved.
LogicalResult DropoutOp::buildVjp(VjpBuilder &vjp) {
  vjp.add(0, vjp.make<DropoutOp>(vjp.cotangent(0), getCounter(), getOffsets(), getPAttr(),
                                 getIdAttr(), getGlobalShapeAttr()));
  return success();
}

} // namespace deepshard::graph
