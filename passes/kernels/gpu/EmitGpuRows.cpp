//===- EmitGpuRows.cpp - the function that goes through the rows ------------------------------===//

#include "passes/kernels/gpu/GpuEmitter.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace deepshard {

SmallVector<Value>
GpuEmitter::forStrided(Value first, Value end, int64_t step, int64_t atOnce,
                       SmallVector<Value> carried,
                       llvm::function_ref<SmallVector<Value>(ArrayRef<Value>, ValueRange)> emit) {
  // The next position is carried too: the rest begins with it.
  carried.insert(carried.begin(), first);
  auto loop = [&](Value from, Value to, int64_t count) {
    rowPoint = b.saveInsertionPoint();
    auto body = [&](OpBuilder &builder, Location, Value position, ValueRange values) {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPoint(builder.getInsertionBlock(), builder.getInsertionPoint());
      SmallVector<Value> positions;
      for (int64_t i = 0; i < count; ++i)
        positions.push_back(i == 0 ? position : add(position, number(i * step)));
      SmallVector<Value> next = emit(positions, values.drop_front());
      next.insert(next.begin(), add(position, number(count * step)));
      scf::YieldOp::create(b, loc, next);
    };
    auto op = scf::ForOp::create(b, loc, from, to, number(count * step), carried, body);
    carried.assign(op.getResults().begin(), op.getResults().end());
  };
  if (atOnce > 1)
    loop(first, sub(end, number((atOnce - 1) * step)), atOnce);
  loop(carried[0], end, 1);
  carried.erase(carried.begin());
  return carried;
}

/// Threads of a warp go through the same rows where they exchange values; those of a row behind the
/// last compute what nobody stores.
void GpuEmitter::startRow(Value which) {
  row = Row();
  rowMask = Value();
  int64_t rowsPerWarp = std::max<int64_t>(GpuKernel::kWarp / gpu.threadsPerRow, 1);
  if (gpu.isReduced() && rowsPerWarp > 1) {
    Value last = number(kernel.getRows() - 1);
    which = add(which, remainder(slot, rowsPerWarp));
    if (kernel.getRows() % rowsPerWarp != 0)
      rowMask = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sle, which, last);
    which = rowMask ? arith::MinSIOp::create(b, loc, which, last).getResult() : which;
  }
  row.coordinates = coordinatesOf(which);
}

void GpuEmitter::emitOwnRows() {
  Value first = firstRow;
  Value end = number(kernel.getRows());
  int64_t rowsPerWarp = std::max<int64_t>(GpuKernel::kWarp / gpu.threadsPerRow, 1);
  if (gpu.isReduced() && rowsPerWarp > 1)
    first = sub(first, remainder(slot, rowsPerWarp));
  if (gpu.form == GpuKernel::Form::LongRow) {
    forStrided(first, end, gpu.rowStride(), 1, {}, [&](ArrayRef<Value> rows, ValueRange) {
      emitLongRow(rows[0]);
      return SmallVector<Value>();
    });
    return;
  }
  // Sums of the thread's vectors, reduction by reduction.
  SmallVector<Value> sums;
  for (Operation *op : loops.reductions(Direction::AlongRows))
    sums.append(columns.size(), neutral(op, vectorOf(b.getF32Type())));
  sums = forStrided(
      first, end, gpu.rowStride(), gpu.rowsAtOnce, sums,
      [&](ArrayRef<Value> rows, ValueRange carried) { return emitKeptRows(rows, carried); });
  for (auto [i, sum] : llvm::enumerate(sums))
    storeVector(sum, sumPointer(i / columns.size()), columns[i % columns.size()],
                columnMasks[i % columns.size()]);
}

void GpuEmitter::addRowOutputs(SmallVectorImpl<Store> &stores) {
  Value isFirst;
  for (Value output : loops.getOutputs())
    if (domain.spanOf(output) == Span::Row) {
      Value value = rowValue(output), base = rowPointer(output).first;
      if (!isFirst)
        isFirst = both(gpu.threadsPerRow > 1 ? isZero(lane) : Value(), rowMask);
      stores.push_back({value, base, Value(), isFirst});
    }
}

SmallVector<Value> GpuEmitter::emitKeptRows(ArrayRef<Value> rows, ValueRange carried) {
  SmallVector<Value> sums(carried);
  SmallVector<Store> stores;
  for (Value which : rows) {
    startRow(which);
    SmallVector<Body> bodies;
    for (auto [column, columnMask] : llvm::zip_equal(columns, columnMasks)) {
      Value mask = both(columnMask, rowMask);
      if (kernel.isBlocked() && kernel.getAllColumns() % kernel.getColumns() != 0)
        mask = both(mask, isBelow(add(mul(row.coordinates.back(), kernel.getColumns()), column),
                                  number(kernel.getAllColumns())));
      bodies.push_back({column, mask, 0});
    }
    for (unsigned phase = 0; phase < loops.getPhases(); ++phase)
      emitKeptPhase(phase, bodies, sums, stores);
    addRowOutputs(stores);
  }
  flush(stores);
  if (needsBarrierBehindRow())
    gpu::BarrierOp::create(b, loc);
  return sums;
}

void GpuEmitter::emitKeptPhase(unsigned phase, MutableArrayRef<Body> bodies,
                               MutableArrayRef<Value> sums, SmallVectorImpl<Store> &stores) {
  for (Body &body : bodies)
    body.phase = phase;
  SmallVector<Operation *> reductions = columnReductionsOf(phase);
  Partials partials;
  for (Operation *op : reductions) {
    Value partial;
    for (Body &body : bodies) {
      Value x = orNeutral(body.mask, vectorValue(op->getOperand(0), body), op);
      partial = partial ? emitCombine(b, op, partial, x) : x;
    }
    partials.emplace_back(op, acrossVector(op, partial));
  }
  for (Value output : loops.getOutputs())
    if (domain.spanOf(output) == Span::Full && loops.phaseOf(output) == phase)
      for (Body &body : bodies)
        stores.push_back(
            {vectorValue(output, body), rowPointer(output).first, body.column, body.mask});
  for (auto [i, op] : llvm::enumerate(loops.reductions(Direction::AlongRows)))
    if (loops.phaseOf(op->getResult(0)) == phase)
      for (auto [k, body] : llvm::enumerate(bodies)) {
        Value x = orNeutral(body.mask, vectorValue(op->getOperand(0), body), op);
        Value &sum = sums[i * bodies.size() + k];
        sum = emitCombine(b, op, sum, x);
      }
  if (reductions.empty())
    return;
  flush(stores); // what is computed from the reductions comes later anyway
  acrossThreads(partials);
}

void GpuEmitter::emitLongRow(Value which) {
  startRow(which);
  for (unsigned phase = 0; phase < loops.getPhases(); ++phase)
    emitLongPhase(phase);
  SmallVector<Store> stores;
  addRowOutputs(stores);
  flush(stores);
  if (needsBarrierBehindRow())
    gpu::BarrierOp::create(b, loc);
}

void GpuEmitter::emitLongPhase(unsigned phase) {
  SmallVector<Operation *> reductions = columnReductionsOf(phase);
  SmallVector<Value> sums = llvm::map_to_vector(
      reductions, [&](Operation *op) { return neutral(op, vectorOf(b.getF32Type())); });
  sums = forStrided(columns[0], number(kernel.getColumns()), gpu.vectorStride(), gpu.vectors, sums,
                    [&](ArrayRef<Value> positions, ValueRange carried) {
                      inBody = true;
                      SmallVector<Value> next = emitLongBodies(phase, positions, carried);
                      inBody = false;
                      return next;
                    });
  Partials partials;
  for (auto [op, sum] : llvm::zip_equal(reductions, sums))
    partials.emplace_back(op, acrossVector(op, sum));
  if (!partials.empty())
    acrossThreads(partials);
}

SmallVector<Value> GpuEmitter::emitLongBodies(unsigned phase, ArrayRef<Value> positions,
                                              ValueRange carried) {
  SmallVector<Value> partials(carried);
  SmallVector<Store> stores;
  for (Value position : positions) {
    Body body{position, Value(), phase};
    for (auto [op, partial] : llvm::zip_equal(columnReductionsOf(phase), partials))
      partial = emitCombine(b, op, partial, vectorValue(op->getOperand(0), body));
    for (Value output : loops.getOutputs())
      if (domain.spanOf(output) == Span::Full && loops.phaseOf(output) == phase)
        stores.push_back({vectorValue(output, body), rowPointer(output).first, position, Value()});
    for (Value spill : kernel.getSpills())
      if (loops.phaseOf(spill) == phase)
        stores.push_back({vectorValue(spill, body), spillPointer(spill), position, Value()});
    for (auto [i, op] : llvm::enumerate(loops.reductions(Direction::AlongRows)))
      if (loops.phaseOf(op->getResult(0)) == phase) {
        Value x = vectorValue(op->getOperand(0), body);
        Value sum = loadVector(sumPointer(i), b.getF32Type(), position, Value());
        stores.push_back({emitCombine(b, op, sum, x), sumPointer(i), position, Value()});
      }
  }
  flush(stores);
  return partials;
}

GpuFunction GpuEmitter::emitRows(const std::string &name) {
  auto reductions = static_cast<int64_t>(loops.reductions(Direction::AlongColumns).size());
  constexpr int64_t kMostBlocksAlongY = 65535; // of CUDA's grids; along x they go on
  const bool isFolded = gpu.columnTiles > kMostBlocksAlongY;
  GpuFunction launch{name,
                     {isFolded ? gpu.rowBlocks * gpu.columnTiles : gpu.rowBlocks,
                      isFolded ? 1 : gpu.columnTiles, 1},
                     gpu.blockThreads(),
                     gpu.threadsPerRow > GpuKernel::kWarp
                         ? reductions * GpuKernel::kWarp * static_cast<int64_t>(sizeof(float))
                         : 0};
  width = gpu.width;
  bool isLong = gpu.form == GpuKernel::Form::LongRow;
  readsBack = isLong;
  startFunction(launch);
  slot = gpu.rowsPerBlock == 1 ? number(0) : divide(thread, gpu.threadsPerRow);
  lane = gpu.rowsPerBlock == 1 ? thread : remainder(thread, gpu.threadsPerRow);
  Value rowBlock = blockId(gpu::Dimension::x), tile;
  if (isFolded) {
    tile = divide(rowBlock, gpu.rowBlocks);
    rowBlock = remainder(rowBlock, gpu.rowBlocks);
  } else if (gpu.columnTiles > 1) {
    tile = blockId(gpu::Dimension::y);
  }
  firstRow = add(mul(rowBlock, gpu.rowsPerBlock), slot);
  setChunk(firstRow);
  Value first = mul(lane, width);
  if (tile)
    first = add(first, mul(tile, gpu.vectorStride() * gpu.vectors));
  // Of a tile, which has one vector a thread, the threads without columns have nothing to do. Where
  // rows are reduced they take part in that.
  int64_t allColumns = gpu.columnTiles * gpu.vectorStride() * (isLong ? 0 : gpu.vectors);
  bool isWhole = allColumns <= kernel.getColumns();
  Value end = number(kernel.getColumns());
  for (int64_t i = 0; i < (isLong ? 1 : gpu.vectors); ++i) {
    columns.push_back(i == 0 ? first : add(first, number(i * gpu.vectorStride())));
    bool isThere =
        isWhole || !gpu.isReduced() || (i + 1) * gpu.vectorStride() <= kernel.getColumns();
    columnMasks.push_back(isThere ? Value() : isBelow(columns.back(), end));
  }
  if (isLong && !loops.reductions(Direction::AlongRows).empty())
    forStrided(first, end, gpu.vectorStride(), 1, {}, [&](ArrayRef<Value> position, ValueRange) {
      for (auto [i, op] : llvm::enumerate(loops.reductions(Direction::AlongRows)))
        storeVector(neutral(op, vectorOf(b.getF32Type())), sumPointer(i), position[0], Value());
      return SmallVector<Value>();
    });
  where(!isWhole && !gpu.isReduced() ? isBelow(first, end) : Value(), [&] { emitOwnRows(); });
  finishFunction();
  return launch;
}

} // namespace deepshard
