//===- Moves.h - what the layouts of a function have to have moved ----------------------------===//

#ifndef DEEPSHARD_PASSES_SHARDING_MOVES_H
#define DEEPSHARD_PASSES_SHARDING_MOVES_H

#include "passes/sharding/OpLayouts.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace deepshard {

/// `value` goes from one layout to another.
struct Move {
  mlir::Value value;
  sharding::LayoutAttr from, to;
};

/// The changes of layout around an annotated op, as partition makes them: of operands to what its
/// factors ask for, of results to what is declared. Those to the layout that a value has already
/// are left out; one that several readers ask for is made once by partition, but is in the list of
/// each.
llvm::SmallVector<Move> movesOf(mlir::Operation *op, mlir::FlatSymbolRefAttr mesh,
                                sharding::MeshAttr grid);

/// Of a value that the function returns.
std::optional<Move> moveOfResult(mlir::OpOperand &returned);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_SHARDING_MOVES_H
