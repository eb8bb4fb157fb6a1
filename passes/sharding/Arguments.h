//===- Arguments.h - layouts and shapes of a function's arguments -----------------------------===//

#ifndef DEEPSHARD_PASSES_SHARDING_ARGUMENTS_H
#define DEEPSHARD_PASSES_SHARDING_ARGUMENTS_H

#include "dialects/graph/Graph.h"
#include "dialects/sharding/Sharding.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace deepshard {

/// Sets `sharding.layout` of an argument.
void setArgumentLayout(mlir::BlockArgument argument, sharding::LayoutAttr layout);

/// Sets the type of an argument and the function's type with it. The uses are the caller's
/// business.
void setArgumentType(mlir::func::FuncOp function, mlir::BlockArgument argument,
                     mlir::RankedTensorType type);

/// Sees dimension `dim` of the argument as [size / width, width], of which the second carries the
/// axes of the dimension: type, `sharding.layout` and `graph.cut` follow.
void cutDimension(mlir::func::FuncOp function, mlir::BlockArgument argument, unsigned dim,
                  int64_t width);

/// Gives dimension `dim` of the argument `size` indices, of which the last ones are padding.
void padDimension(mlir::func::FuncOp function, mlir::BlockArgument argument, unsigned dim,
                  int64_t size);

/// The axes of more than one rank that cut no input: those over which a search may split values.
llvm::SmallVector<sharding::AxisRefAttr> searchedAxes(mlir::func::FuncOp function,
                                                      sharding::MeshAttr mesh);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_SHARDING_ARGUMENTS_H
