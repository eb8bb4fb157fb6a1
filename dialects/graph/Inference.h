//===- Inference.h - checks that type inference and verifiers share ---------------------------===//
//
// Type inference runs before the traits of an op are verified: its operands may have any type and
// its attributes any length. All helpers report to `location` (nothing is reported without one) and
// name what disagrees, with both values.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_DIALECTS_GRAPH_INFERENCE_H
#define DEEPSHARD_DIALECTS_GRAPH_INFERENCE_H

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Value.h"

#include <optional>
#include <string>

namespace deepshard::graph {

using OptionalLocation = std::optional<mlir::Location>;

/// The type of operand `name`; an error if it is not a ranked tensor of static shape.
mlir::FailureOr<mlir::RankedTensorType> tensorType(OptionalLocation location, llvm::StringRef name,
                                                   mlir::Value value);

/// "2x3", "scalar" for rank 0.
std::string shapeText(llvm::ArrayRef<int64_t> shape);

/// Two operands have the same element type.
llvm::LogicalResult checkElementTypes(OptionalLocation location, llvm::StringRef first,
                                      mlir::RankedTensorType firstType, llvm::StringRef second,
                                      mlir::RankedTensorType secondType);

/// `elementType`, if given, is f32 and the operands are narrower.
llvm::LogicalResult checkAccumulated(OptionalLocation location, mlir::RankedTensorType operand,
                                     std::optional<mlir::Type> elementType);

/// Attribute `name` is a dimension of operand `of`: 0 <= dim < rank.
llvm::LogicalResult checkDimension(OptionalLocation location, llvm::StringRef name, int64_t dim,
                                   llvm::StringRef of, int64_t rank);

/// Operand `name` has rank `rank`.
llvm::LogicalResult checkRank(OptionalLocation location, llvm::StringRef name,
                              mlir::RankedTensorType type, int64_t rank);

/// Dimension `firstDim` of `first` has the size of dimension `secondDim` of `second`.
llvm::LogicalResult checkSizes(OptionalLocation location, llvm::StringRef first,
                               mlir::RankedTensorType firstType, int64_t firstDim,
                               llvm::StringRef second, mlir::RankedTensorType secondType,
                               int64_t secondDim);

/// Operand `name` has the shape `shape`, which is explained by `what` ("the shape of weight").
llvm::LogicalResult checkShape(OptionalLocation location, llvm::StringRef name,
                               mlir::RankedTensorType type, llvm::StringRef what,
                               llvm::ArrayRef<int64_t> shape);

/// The attribute `name` has one entry per dimension of a tensor of rank `rank`.
llvm::LogicalResult checkEntries(OptionalLocation location, llvm::StringRef name,
                                 llvm::ArrayRef<int64_t> values, int64_t rank);

/// `offsets` and `globalShape`, given together or not at all, place a tensor of shape `shape`
/// called `name` in a larger one: one entry per dimension, no size larger than the global one.
llvm::LogicalResult checkPart(OptionalLocation location, llvm::StringRef name,
                              llvm::ArrayRef<int64_t> shape, mlir::Value offsets,
                              std::optional<llvm::ArrayRef<int64_t>> globalShape);

/// The shape under NumPy's broadcasting: trailing dimensions align, a size of 1 or a missing
/// dimension repeats.
mlir::FailureOr<llvm::SmallVector<int64_t>>
broadcastShapes(OptionalLocation location, llvm::ArrayRef<llvm::StringRef> names,
                llvm::ArrayRef<mlir::RankedTensorType> types);

} // namespace deepshard::graph

#endif // DEEPSHARD_DIALECTS_GRAPH_INFERENCE_H
