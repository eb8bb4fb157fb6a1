//===- RowLoops.h - a group of graph ops as loops over rows and columns -----------------------===//
//
// The form in which kernels are generated. A loop over rows contains phases, each a loop over the
// columns: a value that depends on a reduction along the columns belongs to the phase behind it.
// Reductions along the rows are accumulated by every chunk of rows on its own; a second loop, over
// columns, adds the chunks in order and computes what follows from the sums.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_KERNELS_ROWLOOPS_ROWLOOPS_H
#define DEEPSHARD_PASSES_KERNELS_ROWLOOPS_ROWLOOPS_H

#include "passes/kernels/rowloops/IterationDomain.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/SetVector.h"

namespace deepshard {

/// The provider of ops that kernels are generated for.
inline constexpr llvm::StringLiteral kGeneratedProvider = "generated";

class RowLoops {
public:
  /// The loops of `ops`, which are in the order of the program and fusible. Inputs are the operands
  /// from outside, in the order of their first use; outputs the results with users outside, the
  /// largest first. Nothing if the ops do not fit into one such kernel.
  static std::optional<RowLoops> of(llvm::ArrayRef<mlir::Operation *> ops);
  /// The loops of an outlined group: inputs and outputs are the function's.
  static std::optional<RowLoops> of(mlir::func::FuncOp group);

  const IterationDomain &getDomain() const { return domain; }
  llvm::ArrayRef<mlir::Operation *> getOps() const { return ops; }
  llvm::ArrayRef<mlir::Value> getInputs() const { return inputs; }
  llvm::ArrayRef<mlir::Value> getOutputs() const { return outputs; }
  unsigned getPhases() const { return phases; }

  bool isInternal(mlir::Value value) const { return phaseOfValue.contains(value); }
  /// Full values: the phase that can compute it first. Row values: the first phase that can read
  /// it.
  unsigned phaseOf(mlir::Value value) const { return phaseOfValue.lookup(value); }
  /// Whether a Full value is an output, from which later phases have it.
  bool isStored(mlir::Value value) const {
    return llvm::is_contained(outputs, value) && domain.spanOf(value) == Span::Full;
  }
  /// The reductions of each kind, in the order of the program.
  llvm::ArrayRef<mlir::Operation *> reductions(Direction direction) const {
    return direction == Direction::AlongColumns ? alongColumns : alongRows;
  }

  /// Whether output `output` may be written to the very bytes of input `input`: each element is
  /// read for the last time before, or when, the element in its place is written.
  bool mayOverwrite(unsigned input, unsigned output) const;

  /// Whether `op` can be a kernel of its own: it is fusible and not of scalars only.
  static bool canBe(mlir::Operation *op) { return isFusible(op) && !isRenaming(op) && of(op); }

private:
  bool schedule();
  /// The last phase that reads input elements of `value`; recomputing counts as reading.
  unsigned lastRead(mlir::Value value) const;

  IterationDomain domain;
  llvm::SmallVector<mlir::Operation *> ops;
  llvm::SmallVector<mlir::Value> inputs, outputs;
  llvm::SmallVector<mlir::Operation *> alongColumns, alongRows;
  llvm::DenseMap<mlir::Value, unsigned> phaseOfValue;
  llvm::DenseSet<mlir::Value> afterRows; // depend on a reduction along the rows
  unsigned phases = 1;
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_KERNELS_ROWLOOPS_ROWLOOPS_H
