//===- EmitGpuKernel.cpp - row loops in the gpu dialect ---------------------------------------===//
//
// Within a phase all values are computed before anything is stored, of several rows or vectors at
// once: an output may lie where an input lies, so that no load could be moved ahead of a store.
//
//===------------------------------------------------------------------------------------------===//

#include "passes/kernels/gpu/GpuKernel.h"
#include "passes/kernels/rowloops/EmitElement.h"
#include "passes/kernels/rowloops/EmitValues.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace deepshard {

namespace {

constexpr unsigned kGlobalMemory = 1, kSharedMemory = 3;

class GpuEmitter : public ValueEmitter {
public:
  GpuEmitter(const GpuKernel &gpu, gpu::GPUModuleOp module)
      : ValueEmitter(gpu.getRowKernel(), module.getContext(),
                     IntegerType::get(module.getContext(), gpu.hasShortIndices() ? 32 : 64)),
        gpu(gpu), module(module) {}

  GpuFunction emitRows(const std::string &name);
  GpuFunction emitColumns(const std::string &name);

private:
  struct Store {
    Value value, base;
    Value column; // null: a scalar
    Value mask;   // null: always
  };

  void startFunction(const GpuFunction &launch);
  void finishFunction() { gpu::ReturnOp::create(b, loc); }
  Value threadIndex(Value id) { return arith::IndexCastOp::create(b, loc, index, id); }
  Value threadId() { return threadIndex(gpu::ThreadIdOp::create(b, loc, gpu::Dimension::x)); }
  Value blockId(gpu::Dimension dimension) {
    return threadIndex(gpu::BlockIdOp::create(b, loc, dimension));
  }
  Value sub(Value x, Value y) { return arith::SubIOp::create(b, loc, x, y); }
  Value divide(Value x, int64_t y) {
    return y == 1 ? x : Value(arith::DivUIOp::create(b, loc, x, number(y)));
  }
  Value remainder(Value x, int64_t y) {
    return y == 1 ? number(0) : Value(arith::RemUIOp::create(b, loc, x, number(y)));
  }
  Value isBelow(Value x, Value y) {
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, x, y);
  }
  Value isZero(Value x) {
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, x, number(0));
  }
  /// Both; null holds always.
  Value both(Value x, Value y) {
    return x && y ? Value(arith::AndIOp::create(b, loc, x, y)) : x ? x : y;
  }
  /// Emits what happens where `mask` holds.
  void where(Value mask, llvm::function_ref<void()> emit);
  Value neutral(Operation *reduction, Type type) {
    return emitSplat(b, loc, type, b.getF32FloatAttr(neutralElement(reduction)));
  }
  /// `x` where `mask` holds, elsewhere what changes no result of the reduction.
  Value orNeutral(Value mask, Value x, Operation *reduction) {
    return mask ? Value(arith::SelectOp::create(b, loc, mask, x, neutral(reduction, x.getType())))
                : x;
  }

  //===-- memory ------------------------------------------------------------------------------===//

  // Masks are flags of the thread: a vector is there as a whole or not.
  Value operandPointer(unsigned index) override { return function.getArgument(index); }
  Value loadVector(Value base, Type element, Value offset, Value mask) override;
  void storeVector(Value value, Value base, Value offset, Value mask) override;
  Value sumOfRows(Operation *reduction, Body &) override { return totals.lookup(reduction); }
  unsigned alignmentOf(Type element) const {
    return std::min<int64_t>(GpuKernel::kAccessBytes, width * bytesOf(element));
  }
  void flush(SmallVectorImpl<Store> &stores);
  void setChunk(Value chunk);
  /// The address of f32 number `offset` in memory shared by the block.
  Value sharedAddress(Value offset);

  //===-- reductions --------------------------------------------------------------------------===//

  using Partials = SmallVector<std::pair<Operation *, Value>>;

  Value acrossLanes(Operation *reduction, Value value, int64_t lanes);
  Value acrossVector(Operation *reduction, Value vector);
  /// Brings the scalars of the threads of a row together, and into `row`.
  void acrossThreads(const Partials &partials);
  /// Whether a barrier has to keep the next row's reductions from this one's.
  bool needsBarrierBehindRow() const;

  //===-- loops -------------------------------------------------------------------------------===//

  /// Runs `emit(positions, carried)` for first, first + step, ... below `end`, `atOnce` positions
  /// at a time and then the rest.
  SmallVector<Value>
  forStrided(Value first, Value end, int64_t step, int64_t atOnce, SmallVector<Value> carried,
             llvm::function_ref<SmallVector<Value>(ArrayRef<Value>, ValueRange)> emit);
  void startRow(Value which);
  void emitOwnRows();
  SmallVector<Value> emitKeptRows(ArrayRef<Value> rows, ValueRange sums);
  void emitKeptPhase(unsigned phase, MutableArrayRef<Body> bodies, MutableArrayRef<Value> sums,
                     SmallVectorImpl<Store> &stores);
  void emitLongRow(Value which);
  void emitLongPhase(unsigned phase);
  SmallVector<Value> emitLongBodies(unsigned phase, ArrayRef<Value> columns, ValueRange partials);
  void addRowOutputs(SmallVectorImpl<Store> &stores);
  Value sumOfChunks(unsigned reduction, Value slot, Value column, Value isColumn);

  const GpuKernel &gpu;
  gpu::GPUModuleOp module;
  gpu::GPUFuncOp function;
  std::string sharedName;
  int64_t sharedFloats = 0;

  Value thread, slot, lane;                  // of the block; row of the block; thread of the row
  SmallVector<Value> columns, columnMasks;   // of the thread's vectors
  Value rowMask;                             // null: the row exists
  llvm::DenseMap<Operation *, Value> totals; // sums along the rows, in the second kernel
};

//===------------------------------------------------------------------------------------------===//
// Functions and memory
//===------------------------------------------------------------------------------------------===//

void GpuEmitter::startFunction(const GpuFunction &launch) {
  b.setInsertionPointToEnd(module.getBody());
  auto pointer = LLVM::LLVMPointerType::get(b.getContext(), kGlobalMemory);
  ArrayRef<Value> inputs = loops.getInputs(), outputs = loops.getOutputs();
  bool hasWorkspace = gpu.getWorkspaceBytes() > 0;
  SmallVector<Type> types(inputs.size() + outputs.size() + (hasWorkspace ? 1 : 0), pointer);
  function = gpu::GPUFuncOp::create(b, loc, launch.name, b.getFunctionType(types, {}));
  function->setAttr(gpu::GPUDialect::getKernelFuncAttrName(), b.getUnitAttr());
  function.setKnownBlockSizeAttr(
      b.getDenseI32ArrayAttr({static_cast<int32_t>(launch.threads), 1, 1}));
  // What shares no bytes with another operand.
  auto isApart = [&](unsigned input, unsigned output) {
    return !loops.mayOverwrite(input, output);
  };
  auto inputRange = llvm::seq<unsigned>(inputs.size());
  auto outputRange = llvm::seq<unsigned>(outputs.size());
  for (unsigned i : inputRange)
    if (llvm::all_of(outputRange, [&](unsigned output) { return isApart(i, output); })) {
      function.setArgAttr(i, LLVM::LLVMDialect::getNoAliasAttrName(), b.getUnitAttr());
      function.setArgAttr(i, LLVM::LLVMDialect::getReadonlyAttrName(), b.getUnitAttr());
    }
  for (unsigned i : outputRange)
    if (llvm::all_of(inputRange, [&](unsigned input) { return isApart(input, i); }))
      function.setArgAttr(inputs.size() + i, LLVM::LLVMDialect::getNoAliasAttrName(),
                          b.getUnitAttr());
  if (hasWorkspace)
    function.setArgAttr(types.size() - 1, LLVM::LLVMDialect::getNoAliasAttrName(), b.getUnitAttr());
  b.setInsertionPointToStart(&function.getBody().front());
  row = Row();
  thread = threadId();
  if (launch.sharedBytes > 0) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(module.getBody());
    sharedName = launch.name + "_shared";
    sharedFloats = launch.sharedBytes / 4;
    LLVM::GlobalOp::create(b, loc, LLVM::LLVMArrayType::get(b.getF32Type(), sharedFloats),
                           /*isConstant=*/false, LLVM::Linkage::Internal, sharedName, Attribute(),
                           /*alignment=*/16, kSharedMemory);
  }
}

Value GpuEmitter::sharedAddress(Value offset) {
  auto pointer = LLVM::LLVMPointerType::get(b.getContext(), kSharedMemory);
  Value base = LLVM::AddressOfOp::create(b, loc, pointer, sharedName);
  return address(base, b.getF32Type(), offset);
}

void GpuEmitter::where(Value mask, llvm::function_ref<void()> emit) {
  if (!mask)
    return emit();
  auto conditional = scf::IfOp::create(b, loc, mask, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(conditional.thenBlock());
  emit();
}

Value GpuEmitter::loadVector(Value base, Type element, Value offset, Value mask) {
  VectorType type = vectorOf(memoryType(element));
  Value from = address(base, element, offset);
  auto load = [&] {
    return LLVM::LoadOp::create(b, loc, type, from, alignmentOf(element)).getResult();
  };
  if (!mask)
    return fromMemory(load(), element);
  auto conditional = scf::IfOp::create(b, loc, TypeRange(type), mask, /*withElseRegion=*/true);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(conditional.thenBlock());
    scf::YieldOp::create(b, loc, load());
    b.setInsertionPointToStart(conditional.elseBlock());
    scf::YieldOp::create(b, loc, zeros(type));
  }
  return fromMemory(conditional.getResult(0), element);
}

void GpuEmitter::storeVector(Value value, Value base, Value offset, Value mask) {
  Type element = cast<VectorType>(value.getType()).getElementType();
  value = toMemory(value);
  Value to = address(base, element, offset);
  where(mask, [&] { LLVM::StoreOp::create(b, loc, value, to, alignmentOf(element)); });
}

void GpuEmitter::flush(SmallVectorImpl<Store> &stores) {
  for (const Store &store : stores) {
    if (store.column)
      storeVector(store.value, store.base, store.column, store.mask);
    else
      where(store.mask, [&] { storeScalar(store.value, store.base, number(0)); });
  }
  stores.clear();
}

void GpuEmitter::setChunk(Value chunk) {
  if (gpu.getWorkspaceBytes() > 0)
    chunkMemory = address(workspacePointer(), b.getI8Type(), mul(wide(chunk), gpu.chunkBytes()));
}

//===------------------------------------------------------------------------------------------===//
// Reductions along the columns
//===------------------------------------------------------------------------------------------===//

/// Every one of `lanes` neighbouring lanes, a power of two, gets the result.
Value GpuEmitter::acrossLanes(Operation *reduction, Value value, int64_t lanes) {
  for (int64_t distance = lanes / 2; distance > 0; distance /= 2) {
    auto shuffle =
        gpu::ShuffleOp::create(b, loc, value, static_cast<int32_t>(distance),
                               static_cast<int32_t>(GpuKernel::kWarp), gpu::ShuffleMode::XOR);
    value = emitCombine(b, reduction, value, shuffle.getShuffleResult());
  }
  return value;
}

/// Halves, quarters, ... are combined.
Value GpuEmitter::acrossVector(Operation *reduction, Value vector) {
  SmallVector<Value> parts;
  for (int64_t i = 0; i < width; ++i)
    parts.push_back(vector::ExtractOp::create(b, loc, vector, i));
  for (size_t half = parts.size() / 2; half > 0; half /= 2)
    for (size_t i = 0; i < half; ++i)
      parts[i] = emitCombine(b, reduction, parts[i], parts[i + half]);
  return parts[0];
}

/// Rows of more than a warp: the warps' results meet in shared memory, where each reduction has a
/// place of its own.
void GpuEmitter::acrossThreads(const Partials &partials) {
  int64_t threads = gpu.threadsPerRow, warps = threads / GpuKernel::kWarp;
  if (threads <= GpuKernel::kWarp) {
    for (auto [op, value] : partials)
      row.scalars[op->getResult(0)] = acrossLanes(op, value, threads);
    return;
  }
  auto placeOf = [&](Operation *op, Value offset) {
    ArrayRef<Operation *> all = loops.reductions(Direction::AlongColumns);
    int64_t first = (llvm::find(all, op) - all.begin()) * GpuKernel::kWarp;
    return sharedAddress(add(offset, number(first)));
  };
  Value warp = divide(thread, GpuKernel::kWarp), lane = remainder(thread, GpuKernel::kWarp);
  Value isFirst = isZero(lane);
  for (auto [op, value] : partials) {
    Value sum = acrossLanes(op, value, GpuKernel::kWarp);
    where(isFirst, [&] { LLVM::StoreOp::create(b, loc, sum, placeOf(op, warp), 4); });
  }
  gpu::BarrierOp::create(b, loc);
  auto slots = static_cast<int64_t>(llvm::bit_ceil<uint64_t>(warps));
  Value own = remainder(lane, slots);
  Value isThere = slots == warps ? Value() : isBelow(own, number(warps));
  Value from = isThere ? arith::SelectOp::create(b, loc, isThere, own, number(0)).getResult() : own;
  for (auto [op, value] : partials) {
    Value part = LLVM::LoadOp::create(b, loc, b.getF32Type(), placeOf(op, from), 4);
    row.scalars[op->getResult(0)] = acrossLanes(op, orNeutral(isThere, part, op), slots);
  }
}

/// With two barriers a row, each keeps the places of the other's reductions.
bool GpuEmitter::needsBarrierBehindRow() const {
  int64_t barriers = 0;
  for (unsigned phase = 0; phase < loops.getPhases(); ++phase)
    barriers += !columnReductionsOf(phase).empty();
  return gpu.threadsPerRow > GpuKernel::kWarp && barriers == 1 && gpu.rowBlocks < kernel.getRows();
}

//===------------------------------------------------------------------------------------------===//
// Rows
//===------------------------------------------------------------------------------------------===//

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
  Value first = add(mul(blockId(gpu::Dimension::x), gpu.rowsPerBlock), slot);
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
  GpuFunction launch{name,
                     {gpu.rowBlocks, gpu.columnTiles, 1},
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
  setChunk(add(mul(blockId(gpu::Dimension::x), gpu.rowsPerBlock), slot));
  Value first = mul(lane, width);
  if (gpu.columnTiles > 1)
    first = add(first, mul(blockId(gpu::Dimension::y), gpu.vectorStride() * gpu.vectors));
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

//===------------------------------------------------------------------------------------------===//
// Columns
//===------------------------------------------------------------------------------------------===//

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

} // namespace

SmallVector<GpuFunction> emitGpuKernel(const GpuKernel &kernel, StringRef name, ModuleOp module) {
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  auto gpuModule = gpu::GPUModuleOp::create(builder, builder.getUnknownLoc(), name);
  SmallVector<GpuFunction> launches;
  auto next = [&] { return (name + "_" + llvm::Twine(launches.size())).str(); };
  if (kernel.hasRowLoop())
    launches.push_back(GpuEmitter(kernel, gpuModule).emitRows(next()));
  if (kernel.getRowKernel().hasColumnLoop())
    launches.push_back(GpuEmitter(kernel, gpuModule).emitColumns(next()));
  return launches;
}

} // namespace deepshard
