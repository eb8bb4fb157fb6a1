//===- GpuEmitter.h - emits row loops in the gpu dialect --------------------------------------===//
//
// Within a phase all values are computed before anything is stored, of several rows or vectors at
// once: an output may lie where an input lies, so that no load could be moved ahead of a store.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_KERNELS_GPU_GPUEMITTER_H
#define DEEPSHARD_PASSES_KERNELS_GPU_GPUEMITTER_H

#include "passes/kernels/gpu/GpuKernel.h"
#include "passes/kernels/rowloops/EmitElement.h"
#include "passes/kernels/rowloops/EmitValues.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"

namespace deepshard {

/// The functions of one kernel, one after another: EmitGpuKernel.cpp has what both share,
/// EmitGpuRows.cpp and EmitGpuColumns.cpp one each.
class GpuEmitter : public ValueEmitter {
public:
  GpuEmitter(const GpuKernel &gpu, mlir::gpu::GPUModuleOp module)
      : ValueEmitter(gpu.getRowKernel(), module.getContext(),
                     mlir::IntegerType::get(module.getContext(), gpu.hasShortIndices() ? 32 : 64)),
        gpu(gpu), module(module) {}

  GpuFunction emitRows(const std::string &name);
  GpuFunction emitColumns(const std::string &name);

private:
  struct Store {
    mlir::Value value, base;
    mlir::Value column; // null: a scalar
    mlir::Value mask;   // null: always
  };

  void startFunction(const GpuFunction &launch);
  void finishFunction() { mlir::gpu::ReturnOp::create(b, loc); }
  mlir::Value threadIndex(mlir::Value id) {
    return mlir::arith::IndexCastOp::create(b, loc, index, id);
  }
  mlir::Value threadId() {
    return threadIndex(mlir::gpu::ThreadIdOp::create(b, loc, mlir::gpu::Dimension::x));
  }
  mlir::Value blockId(mlir::gpu::Dimension dimension) {
    return threadIndex(mlir::gpu::BlockIdOp::create(b, loc, dimension));
  }
  mlir::Value sub(mlir::Value x, mlir::Value y) {
    return mlir::arith::SubIOp::create(b, loc, x, y);
  }
  mlir::Value divide(mlir::Value x, int64_t y) {
    return y == 1 ? x : mlir::Value(mlir::arith::DivUIOp::create(b, loc, x, number(y)));
  }
  mlir::Value remainder(mlir::Value x, int64_t y) {
    return y == 1 ? number(0) : mlir::Value(mlir::arith::RemUIOp::create(b, loc, x, number(y)));
  }
  mlir::Value isBelow(mlir::Value x, mlir::Value y) {
    return mlir::arith::CmpIOp::create(b, loc, mlir::arith::CmpIPredicate::slt, x, y);
  }
  mlir::Value isZero(mlir::Value x) {
    return mlir::arith::CmpIOp::create(b, loc, mlir::arith::CmpIPredicate::eq, x, number(0));
  }
  /// Both; null holds always.
  mlir::Value both(mlir::Value x, mlir::Value y) {
    return x && y ? mlir::Value(mlir::arith::AndIOp::create(b, loc, x, y)) : x ? x : y;
  }
  /// Emits what happens where `mask` holds.
  void where(mlir::Value mask, llvm::function_ref<void()> emit);
  mlir::Value neutral(mlir::Operation *reduction, mlir::Type type) {
    return emitSplat(b, loc, type, b.getF32FloatAttr(neutralElement(reduction)));
  }
  /// `x` where `mask` holds, elsewhere what changes no result of the reduction.
  mlir::Value orNeutral(mlir::Value mask, mlir::Value x, mlir::Operation *reduction) {
    return mask ? mlir::Value(mlir::arith::SelectOp::create(b, loc, mask, x,
                                                            neutral(reduction, x.getType())))
                : x;
  }

  //===-- memory ------------------------------------------------------------------------------===//

  // Masks are flags of the thread: a vector is there as a whole or not.
  mlir::Value operandPointer(unsigned index) override { return function.getArgument(index); }
  mlir::Value loadVector(mlir::Value base, mlir::Type element, mlir::Value offset,
                         mlir::Value mask) override;
  void storeVector(mlir::Value value, mlir::Value base, mlir::Value offset,
                   mlir::Value mask) override;
  mlir::Value sumOfRows(mlir::Operation *reduction, Body &) override {
    return totals.lookup(reduction);
  }
  unsigned alignmentOf(mlir::Type element) const {
    return std::min<int64_t>(GpuKernel::kAccessBytes, width * bytesOf(element));
  }
  void flush(llvm::SmallVectorImpl<Store> &stores);
  void setChunk(mlir::Value chunk);
  /// The address of f32 number `offset` in memory shared by the block.
  mlir::Value sharedAddress(mlir::Value offset);

  //===-- reductions --------------------------------------------------------------------------===//

  using Partials = llvm::SmallVector<std::pair<mlir::Operation *, mlir::Value>>;

  mlir::Value acrossLanes(mlir::Operation *reduction, mlir::Value value, int64_t lanes);
  mlir::Value acrossVector(mlir::Operation *reduction, mlir::Value vector);
  /// Brings the scalars of the threads of a row together, and into `row`.
  void acrossThreads(const Partials &partials);
  /// Whether a barrier has to keep the next row's reductions from this one's.
  bool needsBarrierBehindRow() const;

  //===-- loops -------------------------------------------------------------------------------===//

  /// Runs `emit(positions, carried)` for first, first + step, ... below `end`, `atOnce` positions
  /// at a time and then the rest.
  llvm::SmallVector<mlir::Value>
  forStrided(mlir::Value first, mlir::Value end, int64_t step, int64_t atOnce,
             llvm::SmallVector<mlir::Value> carried,
             llvm::function_ref<llvm::SmallVector<mlir::Value>(llvm::ArrayRef<mlir::Value>,
                                                               mlir::ValueRange)>
                 emit);
  void startRow(mlir::Value which);
  void emitOwnRows();
  llvm::SmallVector<mlir::Value> emitKeptRows(llvm::ArrayRef<mlir::Value> rows,
                                              mlir::ValueRange sums);
  void emitKeptPhase(unsigned phase, llvm::MutableArrayRef<Body> bodies,
                     llvm::MutableArrayRef<mlir::Value> sums, llvm::SmallVectorImpl<Store> &stores);
  void emitLongRow(mlir::Value which);
  void emitLongPhase(unsigned phase);
  llvm::SmallVector<mlir::Value> emitLongBodies(unsigned phase, llvm::ArrayRef<mlir::Value> columns,
                                                mlir::ValueRange partials);
  void addRowOutputs(llvm::SmallVectorImpl<Store> &stores);
  mlir::Value sumOfChunks(unsigned reduction, mlir::Value slot, mlir::Value column,
                          mlir::Value isColumn);

  const GpuKernel &gpu;
  mlir::gpu::GPUModuleOp module;
  mlir::gpu::GPUFuncOp function;
  std::string sharedName;
  int64_t sharedFloats = 0;

  mlir::Value thread, slot, lane; // of the block; row of the block; thread of the row
  mlir::Value firstRow;           // of the thread: the number of its chunk
  llvm::SmallVector<mlir::Value> columns, columnMasks; // of the thread's vectors
  mlir::Value rowMask;                                 // null: the row exists
  llvm::DenseMap<mlir::Operation *, mlir::Value>
      totals; // sums along the rows, in the second kernel
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_KERNELS_GPU_GPUEMITTER_H
