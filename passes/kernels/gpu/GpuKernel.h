//===- GpuKernel.h - row loops on a GPU -------------------------------------------------------===//
//
// How the loops of a kernel are spread over blocks and threads. A row belongs to `threadsPerRow`
// neighbouring threads, of which each takes vectors of `width` columns, and a block has
// `rowsPerBlock` of them:
//
//              columns of a tile
//        +---------+---------+---------+---------+
//   row  | thread 0| thread 1| thread 0| thread 1|   2 threads, 2 vectors each
//        +---------+---------+---------+---------+
//   row  | thread 2| thread 3| thread 2| thread 3|
//        +---------+---------+---------+---------+
//
// Block (x, y) has the rows x, x + rowBlocks, ... (in units of rowsPerBlock) of column tile y.
// Which of three forms a kernel has follows from its shapes:
//
//   Tile     nothing is reduced along the columns: a thread keeps its columns and goes through rows
//   Row      the threads of a row hold all of it in registers, from one phase to the next
//   LongRow  rows too long for that: a block goes through one row phase by phase, as the CPU does
//
// Sums along the rows are partial sums of `chunks`, each of the rows that one thread goes through,
// in the workspace; a second kernel adds them in order. So a kernel gives the same bits every time.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_KERNELS_GPU_GPUKERNEL_H
#define DEEPSHARD_PASSES_KERNELS_GPU_GPUKERNEL_H

#include "passes/kernels/rowloops/RowKernel.h"

#include <array>
#include <string>

namespace deepshard {

class GpuKernel {
public:
  enum class Form { Tile, Row, LongRow };

  /// Threads of a warp.
  static constexpr int64_t kWarp = 32;
  /// Bytes of the widest access.
  static constexpr int64_t kAccessBytes = 16;

  /// The kernel of `loops` on operands of these strides (elements, one per dimension), the inputs'
  /// before the outputs'; nothing if the columns of an operand do not lie one after another or
  /// repeat. `alignments` are those of the operands' first bytes, inputs before outputs; empty: 16.
  static std::optional<GpuKernel> of(const RowLoops &loops, llvm::ArrayRef<Strides> inputs,
                                     llvm::ArrayRef<Strides> outputs,
                                     llvm::ArrayRef<int64_t> alignments = {});

  const RowKernel &getRowKernel() const { return kernel; }
  const RowLoops &getLoops() const { return kernel.getLoops(); }

  Form form = Form::Tile;
  int64_t width = 1;         // elements of a vector
  int64_t threadsPerRow = 1; // a power of two or a multiple of a warp where rows are reduced
  int64_t rowsPerBlock = 1;
  int64_t vectors = 1; // of a thread in a row; LongRow: in a turn of the loop
  int64_t columnTiles = 1;
  int64_t rowBlocks = 1;
  int64_t rowsAtOnce = 1; // rows, of those that a thread goes through, whose loads come together

  int64_t blockThreads() const { return threadsPerRow * rowsPerBlock; }
  /// Columns from one vector of a thread to the next.
  int64_t vectorStride() const { return threadsPerRow * width; }
  /// Rows from one row of a thread to the next.
  int64_t rowStride() const { return rowBlocks * rowsPerBlock; }
  bool isReduced() const { return form != Form::Tile; }

  /// Whether there are rows to go through: something but functions of columns is computed.
  bool hasRowLoop() const;
  int64_t getChunks() const { return rowStride(); }
  int64_t chunkBytes() const;
  int64_t getWorkspaceBytes() const { return getChunks() * chunkBytes(); }
  /// Chunks that the second kernel sums side by side.
  int64_t chunkSlots() const;
  /// Whether offsets of elements, rows and columns fit in 31 bits.
  bool hasShortIndices() const;

private:
  explicit GpuKernel(RowKernel kernel) : kernel(std::move(kernel)) {}

  void chooseWidth(llvm::ArrayRef<int64_t> alignments);
  void chooseTile();
  bool chooseRow();
  void chooseLongRow();
  /// Vectors of a row that are needed in more than one phase.
  int64_t liveVectors() const;
  int64_t sums() const {
    return static_cast<int64_t>(getLoops().reductions(Direction::AlongRows).size());
  }

  RowKernel kernel;
};

/// A function of a kernel as it is to be launched, with pointers to the inputs, the outputs and, if
/// the kernel has one, the workspace.
struct GpuFunction {
  std::string name;
  std::array<int64_t, 3> grid;
  int64_t threads; // of a block
  int64_t sharedBytes;
};

/// Emits the kernel into `module`, as a gpu.module `name` with the functions `name`_0 and, if
/// something is computed behind the rows, `name`_1, to be launched in this order.
llvm::SmallVector<GpuFunction> emitGpuKernel(const GpuKernel &kernel, llvm::StringRef name,
                                             mlir::ModuleOp module);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_KERNELS_GPU_GPUKERNEL_H
