//===- RowKernel.h - row loops over operands with strides -------------------------------------===//
//
// What a generated kernel is at run time: which loops it has, how each operand moves along them,
// what it keeps in its workspace.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_KERNELS_ROWLOOPS_ROWKERNEL_H
#define DEEPSHARD_PASSES_KERNELS_ROWLOOPS_ROWKERNEL_H

#include "passes/kernels/rowloops/RowLoops.h"

#include "mlir/IR/BuiltinOps.h"

namespace deepshard {

/// How an operand moves, in elements.
struct Access {
  llvm::SmallVector<int64_t> rows; // per row loop
  int64_t column = 0;              // 0 or 1
};

using Strides = llvm::SmallVector<int64_t>;

class RowKernel {
public:
  /// Columns of a block where a group leaves open what rows are: a few pages.
  static constexpr int64_t kBlockColumns = 4096;

  /// The kernel of `loops` on operands of these strides (elements, one per dimension of the tensor)
  /// for `threads` threads; nothing if the columns of an operand do not lie one after another or
  /// repeat.
  static std::optional<RowKernel> of(RowLoops loops, llvm::ArrayRef<Strides> inputs,
                                     llvm::ArrayRef<Strides> outputs, int threads,
                                     int64_t blockColumns = kBlockColumns);
  /// The same on row-major operands.
  static std::optional<RowKernel> ofContiguous(RowLoops loops, int threads);

  const RowLoops &getLoops() const { return loops; }

  /// The loops over rows, outermost first; blocks of columns count as rows where there are too few.
  llvm::ArrayRef<int64_t> getRowSizes() const { return rowSizes; }
  int64_t getRows() const;
  /// Columns of a row; of the last block of columns there may be fewer.
  int64_t getColumns() const { return columns; }
  /// Columns of all blocks.
  int64_t getAllColumns() const { return allColumns; }
  bool isBlocked() const { return columns != allColumns; }
  const Access &inputAccess(unsigned input) const { return inputs[input]; }
  const Access &outputAccess(unsigned output) const { return outputs[output]; }
  /// How the index of an element in dropout's logical tensor, or the number of an iota, moves.
  const Access &indexAccess(mlir::Operation *op) const { return indices.find(op)->second; }

  /// Into how many chunks the rows are cut, at most one per thread; a function of the shapes.
  int64_t getChunks() const { return chunks; }
  /// Values kept from one phase for a later one, because computing them again takes longer.
  llvm::ArrayRef<mlir::Value> getSpills() const { return spills.getArrayRef(); }
  bool isSpilled(mlir::Value value) const { return spills.contains(value); }

  /// Whether there is a second loop, over columns.
  bool hasColumnLoop() const;
  /// Every chunk has sums along the rows, then spilled rows; each starts at a multiple of 64 bytes.
  int64_t sumOffset(unsigned reduction) const { return reduction * rowBytes(4); }
  int64_t spillOffset(mlir::Value value) const;
  int64_t chunkBytes() const;
  int64_t getWorkspaceBytes() const { return chunks * chunkBytes(); }

private:
  bool cutLoops(llvm::ArrayRef<Strides> inputStrides, llvm::ArrayRef<Strides> outputStrides,
                int64_t blockColumns);
  void chooseSpills();
  void require(mlir::Value value, unsigned phase);
  int cost(mlir::Value value) const;
  /// Bytes of a row of elements of so many bytes, rounded up.
  int64_t rowBytes(int64_t elementBytes) const { return (columns * elementBytes + 63) / 64 * 64; }
  int64_t spillBytes(mlir::Value value) const;

  RowLoops loops;
  llvm::SmallVector<int64_t> rowSizes;
  int64_t columns = 1, allColumns = 1;
  int64_t chunks = 1;
  llvm::SmallVector<Access> inputs, outputs;
  llvm::DenseMap<mlir::Operation *, Access> indices;
  llvm::SetVector<mlir::Value> spills;
};

/// Emits the functions of the kernel, `name`_0 and, with a column loop, `name`_1, into `module`, as
/// passes/kernels/codegen/Compile.h describes them. Returns the extents of the loops. `lanes` is
/// the number of f32 in a register.
llvm::SmallVector<int64_t> emitRowKernel(const RowKernel &kernel, llvm::StringRef name,
                                         unsigned lanes, mlir::ModuleOp module);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_KERNELS_ROWLOOPS_ROWKERNEL_H
