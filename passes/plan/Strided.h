//===- Strided.h - places of values in buffers ------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_PLAN_STRIDED_H
#define DEEPSHARD_PASSES_PLAN_STRIDED_H

#include "dialects/graph/Graph.h"
#include "dialects/plan/Plan.h"

namespace deepshard {

/// Where the elements of a value lie: a strided window into a buffer. `offset` counts bytes.
struct Strided {
  mlir::Value buffer;
  int64_t offset = 0;
  mlir::Type elementType;
  llvm::SmallVector<int64_t> shape;
  llvm::SmallVector<int64_t> strides;

  plan::ViewType type() const;
  bool operator==(const Strided &) const = default;
};

/// The elements of `x` under another shape, if strides can say it (dimensions that merge or split
/// evenly).
std::optional<Strided> reshaped(const Strided &x, llvm::ArrayRef<int64_t> shape);

/// The elements of `x` repeated to `shape` as NumPy broadcasts.
Strided broadcastTo(const Strided &x, llvm::ArrayRef<int64_t> shape);

/// What a reshape, transpose, broadcast or slice makes of its operand's place; nothing if it needs
/// a copy.
std::optional<Strided> viewOf(mlir::Operation *op, const Strided &x);

/// Whether `op` is one of the ops that only rename elements.
bool isViewLike(mlir::Operation *op);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLAN_STRIDED_H
