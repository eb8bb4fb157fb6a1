//===- EmitRowKernel.cpp - row loops as scf, vector and llvm for the CPU ----------------------===//

#include "passes/kernels/rowloops/EmitElement.h"
#include "passes/kernels/rowloops/EmitValues.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace deepshard {

namespace {

class KernelEmitter : public ValueEmitter {
public:
  KernelEmitter(const RowKernel &kernel, unsigned lanes, ModuleOp module)
      : ValueEmitter(kernel, module.getContext(), IntegerType::get(module.getContext(), 64)),
        module(module) {
    // Two registers at a time keep the units busy; functions that need many registers take one. A
    // sum over columns takes as many partial sums in every group: it has the same bits then.
    bool sums = !loops.reductions(Direction::AlongColumns).empty();
    bool isHeavy = llvm::any_of(loops.getOps(), [](Operation *op) {
      return isTranscendental(op) || isa<graph::DropoutOp>(op);
    });
    width = lanes * (isHeavy && !sums ? 1 : 2);
    while (width > 4 && width / 2 >= kernel.getColumns())
      width /= 2;
    // A width that leaves no rest, if one is near.
    if (kernel.getColumns() % width != 0 && width > lanes / 2 &&
        kernel.getColumns() % (width / 2) == 0)
      width /= 2;
  }

  void emitRows(StringRef name);
  void emitColumns(StringRef name);
  int64_t getWidth() const { return width; }

private:
  func::FuncOp startFunction(StringRef name);

  // Masks are vectors of flags.
  Value operandPointer(unsigned index) override;
  Value loadVector(Value base, Type element, Value offset, Value mask) override;
  void storeVector(Value value, Value base, Value offset, Value mask) override;
  Value sumOfRows(Operation *reduction, Body &body) override;

  //===-- loops -------------------------------------------------------------------------------===//

  void emitRow(Value which);
  void emitPhase(unsigned phase);
  SmallVector<Value> emitBody(unsigned phase, Value column, Value mask, ValueRange sums);
  Value laneMask(Value first, Value end);
  /// Runs `emit(column, mask, carried)` over columns 0 .. end - 1, the rest masked.
  SmallVector<Value>
  forColumns(Value end, SmallVector<Value> carried,
             llvm::function_ref<SmallVector<Value>(Value, Value, ValueRange)> emit);
  Value columnsOfRow();

  ModuleOp module;
  func::FuncOp function;
  Value chunk; // i64
  llvm::DenseMap<unsigned, Value> pointers;
};

func::FuncOp KernelEmitter::startFunction(StringRef name) {
  b.setInsertionPointToEnd(module.getBody());
  auto pointer = LLVM::LLVMPointerType::get(b.getContext());
  Type i64 = b.getI64Type();
  function = func::FuncOp::create(b, loc, name, b.getFunctionType({pointer, i64, i64, i64}, {}));
  b.setInsertionPointToStart(function.addEntryBlock());
  pointers.clear();
  chunk = function.getArgument(3);
  for (unsigned i = 0, end = loops.getInputs().size() + loops.getOutputs().size(); i < end; ++i)
    operandPointer(i);
  if (kernel.getWorkspaceBytes() > 0)
    chunkMemory = address(workspacePointer(), b.getI8Type(), mul(chunk, kernel.chunkBytes()));
  startRows();
  return function;
}

Value KernelEmitter::operandPointer(unsigned index) {
  Value &pointer = pointers[index];
  if (!pointer) {
    Value array = function.getArgument(0);
    Value slot = LLVM::GEPOp::create(b, loc, array.getType(), array.getType(), array,
                                     LLVM::GEPArg(static_cast<int32_t>(index)));
    pointer = LLVM::LoadOp::create(b, loc, array.getType(), slot);
  }
  return pointer;
}

Value KernelEmitter::loadVector(Value base, Type element, Value offset, Value mask) {
  Type memory = memoryType(element);
  Value from = address(base, element, offset);
  Value value = mask
                    ? Value(LLVM::MaskedLoadOp::create(b, loc, vectorOf(memory), from, mask,
                                                       zeros(vectorOf(memory)), bytesOf(element)))
                    : Value(LLVM::LoadOp::create(b, loc, vectorOf(memory), from, bytesOf(element)));
  return fromMemory(value, element);
}

void KernelEmitter::storeVector(Value value, Value base, Value offset, Value mask) {
  Type element = cast<VectorType>(value.getType()).getElementType();
  value = toMemory(value);
  Value to = address(base, element, offset);
  if (mask)
    LLVM::MaskedStoreOp::create(b, loc, value, to, mask, bytesOf(element));
  else
    LLVM::StoreOp::create(b, loc, value, to, bytesOf(element));
}

/// The chunks' sums are added in their order.
Value KernelEmitter::sumOfRows(Operation *reduction, Body &body) {
  const auto *place = llvm::find(loops.reductions(Direction::AlongRows), reduction);
  int64_t offset = kernel.sumOffset(place - loops.reductions(Direction::AlongRows).begin());
  Value sum;
  for (int64_t i = 0; i < kernel.getChunks(); ++i) {
    Value base =
        address(workspacePointer(), b.getI8Type(), number(i * kernel.chunkBytes() + offset));
    Value part = loadVector(base, b.getF32Type(), body.column, body.mask);
    sum = sum ? emitCombine(b, reduction, sum, part) : part;
  }
  return sum;
}

Value KernelEmitter::laneMask(Value first, Value end) {
  SmallVector<int64_t> lanes = llvm::to_vector(llvm::seq<int64_t>(width));
  VectorType type = vectorOf(b.getI64Type());
  Value left = arith::SubIOp::create(b, loc, end, first);
  return arith::CmpIOp::create(
      b, loc, arith::CmpIPredicate::slt,
      arith::ConstantOp::create(b, loc, DenseElementsAttr::get(type, ArrayRef<int64_t>(lanes))),
      splat(left));
}

Value KernelEmitter::columnsOfRow() {
  if (!kernel.isBlocked() || kernel.getAllColumns() % kernel.getColumns() == 0)
    return number(kernel.getColumns());
  Value left = arith::SubIOp::create(b, loc, number(kernel.getAllColumns()),
                                     mul(row.coordinates.back(), kernel.getColumns()));
  return arith::MinSIOp::create(b, loc, left, number(kernel.getColumns()));
}

SmallVector<Value>
KernelEmitter::forColumns(Value end, SmallVector<Value> carried,
                          llvm::function_ref<SmallVector<Value>(Value, Value, ValueRange)> emit) {
  auto fixed = end.getDefiningOp<arith::ConstantOp>();
  int64_t columns = fixed ? cast<IntegerAttr>(fixed.getValue()).getInt() : -1;
  Value step = number(width);
  Value whole =
      fixed ? number(columns - columns % width)
            : Value(arith::SubIOp::create(b, loc, end, arith::RemSIOp::create(b, loc, end, step)));
  rowPoint = b.saveInsertionPoint();
  auto loop = [&](Value from, Value to, bool isMasked) {
    auto body = [&](OpBuilder &builder, Location, Value column, ValueRange sums) {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPoint(builder.getInsertionBlock(), builder.getInsertionPoint());
      inBody = true;
      SmallVector<Value> next = emit(column, isMasked ? laneMask(column, end) : Value(), sums);
      inBody = false;
      scf::YieldOp::create(b, loc, next);
    };
    auto op = scf::ForOp::create(b, loc, from, to, step, carried, body);
    carried.assign(op.getResults().begin(), op.getResults().end());
    rowPoint = b.saveInsertionPoint();
  };
  if (columns < 0 || columns >= width)
    loop(number(0), whole, false);
  if (columns < 0 || columns % width != 0)
    loop(whole, end, true);
  return carried;
}

SmallVector<Value> KernelEmitter::emitBody(unsigned phase, Value column, Value mask,
                                           ValueRange sums) {
  Body body{column, mask, phase};
  // All values first, then what is stored: an output may lie where an input lies.
  SmallVector<Value> next;
  for (auto [op, sum] : llvm::zip_equal(columnReductionsOf(phase), sums)) {
    Value x = vectorValue(op->getOperand(0), body);
    if (mask)
      x = arith::SelectOp::create(
          b, loc, mask, x, emitSplat(b, loc, x.getType(), b.getF32FloatAttr(neutralElement(op))));
    next.push_back(emitCombine(b, op, sum, x));
  }
  SmallVector<std::pair<Value, Value>> stores; // value, address of the row
  for (Value output : loops.getOutputs())
    if (domain.spanOf(output) == Span::Full && loops.phaseOf(output) == phase)
      stores.emplace_back(vectorValue(output, body), rowPointer(output).first);
  for (Value spill : kernel.getSpills())
    if (loops.phaseOf(spill) == phase)
      stores.emplace_back(vectorValue(spill, body), spillPointer(spill));
  for (auto [i, op] : llvm::enumerate(loops.reductions(Direction::AlongRows)))
    if (loops.phaseOf(op->getResult(0)) == phase) {
      Value x = vectorValue(op->getOperand(0), body);
      Value base = sumPointer(i);
      Value sum = loadVector(base, b.getF32Type(), column, mask);
      stores.emplace_back(emitCombine(b, op, sum, x), base);
    }
  for (auto [value, base] : stores)
    storeVector(value, base, column, mask);
  return next;
}

void KernelEmitter::emitPhase(unsigned phase) {
  SmallVector<Operation *> reductions = columnReductionsOf(phase);
  SmallVector<Value> sums = llvm::map_to_vector(reductions, [&](Operation *op) {
    return emitSplat(b, loc, vectorOf(b.getF32Type()), b.getF32FloatAttr(neutralElement(op)));
  });
  sums = forColumns(columnsOfRow(), sums, [&](Value column, Value mask, ValueRange carried) {
    return emitBody(phase, column, mask, carried);
  });
  for (auto [op, sum] : llvm::zip_equal(reductions, sums)) {
    auto kind = isa<graph::ReduceMaxOp>(op)   ? vector::CombiningKind::MAXIMUMF
                : isa<graph::ReduceMinOp>(op) ? vector::CombiningKind::MINIMUMF
                                              : vector::CombiningKind::ADD;
    auto flags = kind == vector::CombiningKind::ADD ? arith::FastMathFlags::reassoc
                                                    : arith::FastMathFlags::none;
    row.scalars[op->getResult(0)] = vector::ReductionOp::create(b, loc, kind, sum, flags);
  }
}

void KernelEmitter::emitRow(Value which) {
  row.coordinates = coordinatesOf(which);
  for (unsigned phase = 0; phase < loops.getPhases(); ++phase)
    emitPhase(phase);
  for (Value output : loops.getOutputs())
    if (domain.spanOf(output) == Span::Row) {
      Value value = rowValue(output);
      storeScalar(value, rowPointer(output).first, number(0));
    }
}

void KernelEmitter::emitRows(StringRef name) {
  startFunction(name);
  SmallVector<Operation *> sums(loops.reductions(Direction::AlongRows));
  if (!sums.empty())
    forColumns(number(kernel.getColumns()), {}, [&](Value column, Value mask, ValueRange) {
      for (auto [i, op] : llvm::enumerate(sums))
        storeVector(
            emitSplat(b, loc, vectorOf(b.getF32Type()), b.getF32FloatAttr(neutralElement(op))),
            sumPointer(i), column, mask);
      return SmallVector<Value>();
    });
  auto rows = [&](OpBuilder &builder, Location, Value which, ValueRange) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(builder.getInsertionBlock(), builder.getInsertionPoint());
    emitRow(which);
    scf::YieldOp::create(b, loc);
  };
  scf::ForOp::create(b, loc, function.getArgument(1), function.getArgument(2), number(1),
                     ValueRange(), rows);
  func::ReturnOp::create(b, loc);
}

void KernelEmitter::emitColumns(StringRef name) {
  isColumnLoop = true;
  row = Row();
  startFunction(name);
  rowPoint = b.saveInsertionPoint();
  auto columns = [&](OpBuilder &builder, Location, Value block, ValueRange) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(builder.getInsertionBlock(), builder.getInsertionPoint());
    Value column = mul(block, width);
    bool isMasked = kernel.getColumns() % width != 0;
    inBody = true;
    Body body{column, isMasked ? laneMask(column, number(kernel.getColumns())) : Value(),
              loops.getPhases()};
    SmallVector<std::pair<Value, Value>> stores;
    for (Value output : loops.getOutputs())
      if (domain.spanOf(output) == Span::Column)
        stores.emplace_back(vectorValue(output, body), rowPointer(output).first);
    for (auto [value, base] : stores)
      storeVector(value, base, column, body.mask);
    inBody = false;
    scf::YieldOp::create(b, loc);
  };
  scf::ForOp::create(b, loc, function.getArgument(1), function.getArgument(2), number(1),
                     ValueRange(), columns);
  func::ReturnOp::create(b, loc);
}

} // namespace

SmallVector<int64_t> emitRowKernel(const RowKernel &kernel, StringRef name, unsigned lanes,
                                   ModuleOp module) {
  KernelEmitter emitter(kernel, lanes, module);
  SmallVector<int64_t> extents = {kernel.getRows()};
  emitter.emitRows((name + "_0").str());
  if (kernel.hasColumnLoop()) {
    emitter.emitColumns((name + "_1").str());
    extents.push_back(llvm::divideCeil(kernel.getColumns(), emitter.getWidth()));
  }
  return extents;
}

} // namespace deepshard
