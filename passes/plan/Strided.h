//===- Strided.h - places of values in buffers ------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_PLAN_STRIDED_H
#define DEEPSHARD_PASSES_PLAN_STRIDED_H

#include "dialects/graph/Graph.h"
#include "dialects/plan/Plan.h"

#include "mlir/IR/Builders.h"

namespace deepshard {

/// Where the elements of a value lie: a strided window into a buffer. `offset` counts bytes; it
/// grows with a rank's coordinates by `axisStrides`.
struct Strided {
  mlir::Value buffer;
  int64_t offset = 0;
  mlir::Type elementType;
  llvm::SmallVector<int64_t> shape;
  llvm::SmallVector<int64_t> strides;
  llvm::SmallVector<mlir::Attribute, 2> axisStrides; // plan::AxisStrideAttr

  plan::ViewType type() const;
  bool operator==(const Strided &) const = default;
};

/// What the address of the first element is a multiple of.
int64_t alignmentOf(const Strided &place);

/// The view op of a place.
mlir::Value createView(mlir::OpBuilder &builder, mlir::Location location, const Strided &place);

/// The elements of `x` under another shape, if strides can say it (dimensions that merge or split
/// evenly).
std::optional<Strided> reshaped(const Strided &x, llvm::ArrayRef<int64_t> shape);

/// The elements of `x` repeated to `shape` as NumPy broadcasts.
Strided broadcastTo(const Strided &x, llvm::ArrayRef<int64_t> shape);

/// Whether two places in one buffer can share bytes; those that move with a rank's coordinates
/// count with all they can reach.
bool mayOverlap(const Strided &a, const Strided &b);

/// The own part of `x` along `dim`, which is cut over the axes of `group`.
Strided partOf(const Strided &x, int64_t dim, sharding::GroupAttr group, sharding::MeshAttr mesh);

/// Whether `x` lies elsewhere on each rank of a group.
bool movesInside(const Strided &x, sharding::GroupAttr group);

/// What a reshape, transpose, broadcast, slice or local slice makes of its operand's place; nothing
/// if it needs a copy.
std::optional<Strided> viewOf(mlir::Operation *op, const Strided &x);

/// Whether `op` is one of the ops that only rename elements.
bool isViewLike(mlir::Operation *op);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLAN_STRIDED_H
