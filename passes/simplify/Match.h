//===- Match.h - what the simplify passes ask of values ---------------------------------------===//

#ifndef DEEPSHARD_PASSES_SIMPLIFY_MATCH_H
#define DEEPSHARD_PASSES_SIMPLIFY_MATCH_H

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Value.h"
#include "llvm/ADT/SmallVector.h"

#include <optional>

namespace mlir {
class OpBuilder;
namespace func {
class FuncOp;
} // namespace func
} // namespace mlir

namespace deepshard {

/// The tensor type of `value`; every value of a graph program has one.
mlir::RankedTensorType tensorType(mlir::Value value);

/// The shape of `value`.
llvm::ArrayRef<int64_t> shapeOf(mlir::Value value);

/// The number that every element of `value` equals, if it is a constant. Looks through reshape,
/// broadcast, slice and conversion to a float; the number is the one before such conversions, so
/// nothing of it is rounded away.
std::optional<double> splatOf(mlir::Value value);

/// A value times a number.
struct Scaled {
  mlir::Value value;
  double factor;
};

/// If `value` is `x` times or divided by a number: both. The product has the type of `x`.
std::optional<Scaled> matchScaled(mlir::Value value);

/// A value read with its dimensions in another order: dimension i is dimension `order[i]` of
/// `base`.
struct View {
  mlir::Value base;
  llvm::SmallVector<int64_t> order;
};

/// `value` with its dimensions in `order`, seen through the transposes that define it.
View viewThroughTransposes(mlir::Value value, llvm::ArrayRef<int64_t> order);

/// The value that `view` denotes: its base, or a new transpose of it.
mlir::Value materialize(mlir::OpBuilder &builder, mlir::Location location, const View &view);

/// `value` under another shape: itself, or a new reshape of it.
mlir::Value reshaped(mlir::OpBuilder &builder, mlir::Location location, mlir::Value value,
                     llvm::ArrayRef<int64_t> shape);

/// Erases the ops of `function` that nobody reads, in one walk backwards.
void eraseDeadOps(mlir::func::FuncOp function);

/// 0, 1, ..., n - 1.
llvm::SmallVector<int64_t> countTo(int64_t n);

/// The dimensions below `rank` that are in neither list, ascending.
llvm::SmallVector<int64_t> freeDimensions(int64_t rank, llvm::ArrayRef<int64_t> first,
                                          llvm::ArrayRef<int64_t> second);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_SIMPLIFY_MATCH_H
