//===- EmitGpuColumns.cpp - the function that ends sums along the rows ------------------------===//

#include "passes/kernels/gpu/GpuEmitter.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace deepshard {

/// The sum of every chunkSlots-th chunk, from `slot` on.
Value GpuEmitter::sumOfChunks(unsigned reduction, Value slot, Value column, Value isColumn) {
  constexpr int64_t kAtOnce = 4;
  Operation *op = loops.reductions(Direction::AlongRows)[reduction];
  Value base = address(workspacePointer(), b.getI8Type(), number(kernel.sumOffset(reduction)));
  Value end = number(gpu.getChunks());
  if (isColumn)
    end = arith::SelectOp::create(b, loc, isColumn, end, number(0));
  auto emit = [&](ArrayRef<Value> chunks, ValueRange carried) {
    SmallVector<Value> parts;
    for (Value chunk : chunks) {
      Value from = address(base, b.getI8Type(), mul(wide(chunk), gpu.chunkBytes()));
      parts.push_back(loadVector(from, b.getF32Type(), column, Value()));
    }
    Value sum = carried[0];
    for (Value part : parts)
      sum = emitCombine(b, op, sum, part);
    return SmallVector<Value>{sum};
  };
  return forStrided(slot, end, gpu.chunkSlots(), gpu.getChunks() > kAtOnce ? kAtOnce : 1,
                    {neutral(op, vectorOf(b.getF32Type()))}, emit)[0];
}

/// A lane has a column, a warp every chunkSlots-th chunk; the first warp adds what the warps have.
GpuFunction GpuEmitter::emitColumns(const std::string &name) {
  constexpr int64_t kWarp = GpuKernel::kWarp;
  ArrayRef<Operation *> reductions = loops.reductions(Direction::AlongRows);
  int64_t slots = gpu.chunkSlots(), count = static_cast<int64_t>(reductions.size());
  int64_t allColumns = kernel.getColumns();
  GpuFunction launch{name,
                     {static_cast<int64_t>(llvm::divideCeil(allColumns, kWarp)), 1, 1},
                     slots * kWarp,
                     slots > 1 ? count * slots * kWarp * static_cast<int64_t>(sizeof(float)) : 0};
  isColumnLoop = true;
  width = 1;
  startFunction(launch);
  Value warp = divide(thread, kWarp), lane = remainder(thread, kWarp);
  Value column = add(mul(blockId(gpu::Dimension::x), kWarp), lane);
  Value isColumn = allColumns % kWarp == 0 ? Value() : isBelow(column, number(allColumns));
  SmallVector<Value> sums;
  for (unsigned i = 0; i < reductions.size(); ++i)
    sums.push_back(sumOfChunks(i, warp, column, isColumn));
  // Place of what a warp has: reduction, warp, lane.
  auto place = [&](unsigned reduction, Value warp) {
    return sharedAddress(add(add(mul(warp, kWarp), lane), number(reduction * slots * kWarp)));
  };
  if (slots > 1) {
    for (auto [i, sum] : llvm::enumerate(sums))
      LLVM::StoreOp::create(b, loc, sum, place(i, warp), 4);
    gpu::BarrierOp::create(b, loc);
  }
  where(both(slots > 1 ? isZero(warp) : Value(), isColumn), [&] {
    for (auto [i, op] : llvm::enumerate(reductions)) {
      Value total = sums[i];
      for (int64_t other = 1; other < slots; ++other)
        total =
            emitCombine(b, op, total,
                        LLVM::LoadOp::create(b, loc, total.getType(), place(i, number(other)), 4));
      totals[op] = total;
    }
    Body body{column, Value(), loops.getPhases()};
    SmallVector<Store> stores;
    for (Value output : loops.getOutputs())
      if (domain.spanOf(output) == Span::Column)
        stores.push_back({vectorValue(output, body), rowPointer(output).first, column, Value()});
    flush(stores);
  });
  finishFunction();
  return launch;
}

} // namespace deepshard
