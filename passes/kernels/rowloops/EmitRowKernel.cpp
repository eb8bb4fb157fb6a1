//===- EmitRowKernel.cpp - row loops as scf, vector and llvm ----------------------------------===//
//
// Loads and stores go through pointers, so that strides, offsets and shapes are numbers in the code
// and no descriptor or alias question arises. A value is computed where it is first asked for:
// scalars of a row ahead of the loop that reads them, vectors inside it, each once per loop body.
//
//===------------------------------------------------------------------------------------------===//

#include "passes/kernels/rowloops/EmitElement.h"
#include "passes/kernels/rowloops/RowKernel.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <cmath>

using namespace mlir;

namespace deepshard {

namespace {

RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

class KernelEmitter {
public:
  KernelEmitter(const RowKernel &kernel, unsigned lanes, ModuleOp module)
      : kernel(kernel), loops(kernel.getLoops()), domain(loops.getDomain()), module(module),
        b(module.getContext()), loc(b.getUnknownLoc()) {
    // Two registers at a time keep the units busy; functions that need many registers take one. A
    // sum over columns takes as many partial sums in every group: it has the same bits then.
    bool sums = !loops.reductions(Direction::AlongColumns).empty();
    bool isHeavy = llvm::any_of(loops.getOps(), [](Operation *op) {
      return isa<graph::ExpOp, graph::SigmoidOp, graph::LogOp, graph::TanhOp, graph::ErfOp,
                 graph::SinOp, graph::CosOp, graph::DropoutOp>(op);
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
  /// What belongs to the body of one loop over columns.
  struct Body {
    Value column; // i64: of the first lane
    Value mask;   // of the lanes that are columns; null: all
    unsigned phase;
    llvm::DenseMap<Value, Value> vectors = llvm::DenseMap<Value, Value>();
  };

  //===-- numbers and addresses ---------------------------------------------------------------===//

  Value number(int64_t value) {
    return arith::ConstantOp::create(b, loc, b.getI64IntegerAttr(value));
  }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value mul(Value x, int64_t y) {
    return y == 1 ? x : Value(arith::MulIOp::create(b, loc, x, number(y)));
  }
  VectorType vectorOf(Type element) const { return VectorType::get(width, element); }
  /// A flag takes a byte. The bits of a bf16 or f16 are moved as an integer: CPUs without its
  /// instructions would move it by way of f32.
  Type memoryType(Type element) {
    return element.isInteger(1) ? b.getI8Type() : isNarrow(element) ? b.getI16Type() : element;
  }
  Value fromMemory(Value value, Type element);
  Value toMemory(Value value);
  static unsigned bytesOf(Type element) {
    return std::max(1u, element.getIntOrFloatBitWidth() / 8);
  }
  Value address(Value base, Type element, Value offset) {
    return LLVM::GEPOp::create(b, loc, base.getType(), memoryType(element), base,
                               LLVM::GEPArg(offset));
  }
  Value splat(Value scalar) {
    return vector::BroadcastOp::create(b, loc, vectorOf(scalar.getType()), scalar);
  }
  Value zeros(Type type) { return arith::ConstantOp::create(b, loc, b.getZeroAttr(type)); }

  func::FuncOp startFunction(StringRef name);
  Value operandPointer(unsigned index);
  Value workspacePointer() {
    return operandPointer(loops.getInputs().size() + loops.getOutputs().size());
  }

  //===-- memory ------------------------------------------------------------------------------===//

  Value loadVector(Value base, Type element, Value offset, Value mask);
  void storeVector(Value value, Value base, Value offset, Value mask);
  Value loadScalar(Value base, Type element, Value offset);
  void storeScalar(Value value, Value base, Value offset);

  /// The offset of the row in elements.
  Value rowOffset(const Access &access);
  std::pair<Value, Type> rowPointer(Value operand);
  Value inputColumn(Value input, Body &body);

  //===-- values ------------------------------------------------------------------------------===//

  Value rowValue(Value value);
  Value vectorValue(Value value, Body &body);
  Value dropoutVector(graph::DropoutOp op, Body &body);
  Value sumOverChunks(Operation *reduction, Body &body);

  //===-- loops -------------------------------------------------------------------------------===//

  void emitRow(Value row);
  void emitPhase(unsigned phase);
  SmallVector<Value> emitBody(unsigned phase, Value column, Value mask, ValueRange sums);
  Value laneMask(Value first, Value end);
  /// Runs `emit(column, mask, carried)` over columns 0 .. end - 1, the rest masked.
  SmallVector<Value>
  forColumns(Value end, SmallVector<Value> carried,
             llvm::function_ref<SmallVector<Value>(Value, Value, ValueRange)> emit);
  Value columnsOfRow();
  SmallVector<Operation *> columnReductionsOf(unsigned phase) const;

  const RowKernel &kernel;
  const RowLoops &loops;
  const IterationDomain &domain;
  ModuleOp module;
  OpBuilder b;
  Location loc;
  int64_t width;

  func::FuncOp function;
  Value chunk;       // i64
  Value chunkMemory; // address of the chunk's part of the workspace
  bool isColumnLoop = false;
  OpBuilder::InsertPoint rowPoint; // ahead of the loop over columns that is being emitted
  bool inBody = false;
  llvm::DenseMap<unsigned, Value> pointers;
  SmallVector<Value> coordinates;          // of the row, per row loop
  llvm::DenseMap<Value, Value> rowScalars; // per row
  llvm::DenseMap<Value, std::pair<Value, Type>> rowPointers;
  llvm::DenseMap<Operation *, Value> rowIndices; // of dropouts: index of the row's first element
  llvm::DenseMap<Operation *, SmallVector<Value>> keys; // of dropouts
};

/// Inserts at the row level while it lives, wherever the builder stands.
#define AT_ROW_LEVEL                                                                               \
  OpBuilder::InsertionGuard guard(b);                                                              \
  if (inBody)                                                                                      \
  b.restoreInsertionPoint(rowPoint)

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

Value KernelEmitter::fromMemory(Value value, Type element) {
  if (element.isInteger(1))
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, value, zeros(value.getType()));
  return isNarrow(element) ? Value(arith::BitcastOp::create(
                                 b, loc, withElementType(value.getType(), element), value))
                           : value;
}

Value KernelEmitter::toMemory(Value value) {
  Type element = getElementTypeOrSelf(value.getType());
  Type memory = withElementType(value.getType(), memoryType(element));
  if (element.isInteger(1))
    return arith::ExtUIOp::create(b, loc, memory, value);
  return isNarrow(element) ? Value(arith::BitcastOp::create(b, loc, memory, value)) : value;
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

Value KernelEmitter::loadScalar(Value base, Type element, Value offset) {
  Value value = LLVM::LoadOp::create(b, loc, memoryType(element), address(base, element, offset),
                                     bytesOf(element));
  return fromMemory(value, element);
}

void KernelEmitter::storeScalar(Value value, Value base, Value offset) {
  Type element = value.getType();
  LLVM::StoreOp::create(b, loc, toMemory(value), address(base, element, offset), bytesOf(element));
}

Value KernelEmitter::rowOffset(const Access &access) {
  Value offset = number(0);
  if (isColumnLoop)
    return offset;
  for (auto [coordinate, stride] : llvm::zip_equal(coordinates, access.rows))
    if (stride != 0)
      offset = add(offset, mul(coordinate, stride));
  return offset;
}

std::pair<Value, Type> KernelEmitter::rowPointer(Value operand) {
  auto [it, isNew] = rowPointers.try_emplace(operand);
  if (isNew) {
    AT_ROW_LEVEL;
    const auto *input = llvm::find(loops.getInputs(), operand);
    bool isInput = input != loops.getInputs().end();
    unsigned index = isInput ? input - loops.getInputs().begin()
                             : llvm::find(loops.getOutputs(), operand) - loops.getOutputs().begin();
    const Access &access = isInput ? kernel.inputAccess(index) : kernel.outputAccess(index);
    Type element = typeOf(operand).getElementType();
    Value base = operandPointer(isInput ? index : loops.getInputs().size() + index);
    rowPointers[operand] = {address(base, element, rowOffset(access)), element};
  }
  return rowPointers[operand];
}

/// Vectors of an input; one that repeats along the columns is loaded once a row.
Value KernelEmitter::inputColumn(Value input, Body &body) {
  unsigned index = llvm::find(loops.getInputs(), input) - loops.getInputs().begin();
  if (kernel.inputAccess(index).column == 0)
    return splat(rowValue(input));
  auto [base, element] = rowPointer(input);
  return loadVector(base, element, body.column, body.mask);
}

Value KernelEmitter::rowValue(Value value) {
  if (Value known = rowScalars.lookup(value))
    return known;
  AT_ROW_LEVEL;
  Value result;
  Operation *op = value.getDefiningOp();
  if (!loops.isInternal(value)) {
    auto [base, element] = rowPointer(value);
    result = loadScalar(base, element, number(0));
  } else if (auto constant = dyn_cast<graph::ConstantOp>(op)) {
    result = arith::ConstantOp::create(
        b, loc,
        cast<TypedAttr>(cast<DenseElementsAttr>(constant.getValue()).getSplatValue<Attribute>()));
  } else if (isRenaming(op)) {
    result = rowValue(op->getOperand(0));
  } else {
    SmallVector<Value> operands =
        llvm::map_to_vector(op->getOperands(), [&](Value operand) { return rowValue(operand); });
    result = emitElement(b, op, operands);
  }
  return rowScalars[value] = result;
}

Value KernelEmitter::vectorValue(Value value, Body &body) {
  if (Value known = body.vectors.lookup(value))
    return known;
  Operation *op = value.getDefiningOp();
  Value result;
  if (!loops.isInternal(value)) {
    result = inputColumn(value, body);
  } else if (isa<graph::ConstantOp>(op) || domain.spanOf(value) == Span::Row ||
             domain.spanOf(value) == Span::Scalar) {
    result = splat(rowValue(value));
  } else if (domain.spanOf(value) == Span::Full && loops.phaseOf(value) < body.phase &&
             kernel.isStored(value)) {
    auto [base, element] = rowPointer(value);
    result = loadVector(base, element, body.column, body.mask);
  } else if (loops.phaseOf(value) < body.phase && kernel.isSpilled(value)) {
    Value base = address(chunkMemory, b.getI8Type(), number(kernel.spillOffset(value)));
    result = loadVector(base, typeOf(value).getElementType(), body.column, body.mask);
  } else if (IterationDomain::isReduction(op)) {
    result = sumOverChunks(op, body);
  } else if (isRenaming(op)) {
    result = vectorValue(op->getOperand(0), body);
  } else if (auto dropout = dyn_cast<graph::DropoutOp>(op)) {
    result = dropoutVector(dropout, body);
  } else {
    SmallVector<Value> operands = llvm::map_to_vector(
        op->getOperands(), [&](Value operand) { return vectorValue(operand, body); });
    result = emitElement(b, op, operands);
  }
  return body.vectors[value] = result;
}

/// Philox4x32-10 of the element's index, as runtime/kernels/Philox.h defines it: every lane
/// computes the four words of its group and takes its own.
Value KernelEmitter::dropoutVector(graph::DropoutOp op, Body &body) {
  Type i32 = b.getI32Type(), i64 = b.getI64Type();
  VectorType words = vectorOf(i32), wide = vectorOf(i64);
  SmallVector<Value> &key = keys[op];
  if (key.empty()) {
    AT_ROW_LEVEL;
    // seed (low, high), step, id, index of the tensor's first element.
    auto load = [&](Value operand, int64_t index) {
      unsigned place = llvm::find(loops.getInputs(), operand) - loops.getInputs().begin();
      return loadScalar(operandPointer(place), i64, number(index));
    };
    auto low = [&](Value x) { return arith::TruncIOp::create(b, loc, i32, x).getResult(); };
    Value seed = load(op.getCounter(), 0), microBatch = load(op.getCounter(), 2);
    auto argument = op->getAttrOfType<IntegerAttr>(graph::kIdArgumentAttr);
    Value id = argument ? load(loops.getInputs()[argument.getInt()], 0)
                        : number(static_cast<int64_t>(op.getId()));
    std::optional<ArrayRef<int64_t>> whole = op.getGlobalShape();
    int64_t elements = 1;
    ArrayRef<int64_t> shape = whole ? *whole : op.getType().getShape();
    for (int64_t size : shape)
      elements *= size;
    Value first = mul(microBatch, elements);
    if (op.getOffsets()) {
      int64_t stride = 1;
      for (int64_t dim = static_cast<int64_t>(shape.size()); dim-- > 0; stride *= shape[dim])
        first = add(first, mul(load(op.getOffsets(), dim), stride));
    }
    key = {low(seed), low(arith::ShRUIOp::create(b, loc, seed, number(32))),
           low(load(op.getCounter(), 1)), low(id), first};
  }
  Value &rowIndex = rowIndices[op];
  if (!rowIndex) {
    AT_ROW_LEVEL;
    rowIndex = add(key[4], rowOffset(kernel.indexAccess(op)));
  }

  auto constant = [&](VectorType type, uint64_t value) {
    return emitSplat(b, loc, type,
                     b.getIntegerAttr(type.getElementType(), static_cast<int64_t>(value)));
  };
  SmallVector<int64_t> lanes = llvm::to_vector(llvm::seq<int64_t>(width));
  Value element = arith::AddIOp::create(
      b, loc, splat(add(rowIndex, body.column)),
      arith::ConstantOp::create(b, loc, DenseElementsAttr::get(wide, ArrayRef<int64_t>(lanes))));
  Value group = arith::ShRUIOp::create(b, loc, element, constant(wide, 2));
  auto low = [&](Value x) { return arith::TruncIOp::create(b, loc, words, x).getResult(); };
  auto high = [&](Value x) { return low(arith::ShRUIOp::create(b, loc, x, constant(wide, 32))); };
  auto product = [&](Value x, uint64_t factor) {
    return arith::MulIOp::create(b, loc, arith::ExtUIOp::create(b, loc, wide, x),
                                 constant(wide, factor))
        .getResult();
  };
  auto exclusive = [&](Value x, Value y) {
    return arith::XOrIOp::create(b, loc, x, y).getResult();
  };
  Value word[4] = {low(group), high(group), splat(key[3]), splat(key[2])};
  Value key0 = splat(key[0]), key1 = splat(key[1]);
  for (int round = 0; round < 10; ++round) {
    Value product0 = product(word[0], 0xD2511F53), product1 = product(word[2], 0xCD9E8D57);
    Value next[4] = {exclusive(exclusive(high(product1), word[1]), key0), low(product1),
                     exclusive(exclusive(high(product0), word[3]), key1), low(product0)};
    std::copy(next, next + 4, word);
    key0 = arith::AddIOp::create(b, loc, key0, constant(words, 0x9E3779B9));
    key1 = arith::AddIOp::create(b, loc, key1, constant(words, 0xBB67AE85));
  }
  Value which = arith::AndIOp::create(b, loc, low(element), constant(words, 3));
  Value own = word[3];
  for (int i = 2; i >= 0; --i) {
    Value is = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, which, constant(words, i));
    own = arith::SelectOp::create(b, loc, is, word[i], own);
  }
  // Kept if the word is not below p 2^32, rounded up; every word is below that for p = 1.
  double p = op.getP().convertToDouble();
  auto threshold = static_cast<uint64_t>(std::ceil(p * 4294967296.0));
  Value kept = threshold > 0xFFFFFFFF
                   ? zeros(vectorOf(b.getI1Type()))
                   : Value(arith::CmpIOp::create(b, loc, arith::CmpIPredicate::uge, own,
                                                 constant(words, threshold)));
  Value x = vectorValue(op.getX(), body);
  Type type = x.getType();
  bool rounds = isNarrow(getElementTypeOrSelf(type));
  VectorType f32 = vectorOf(b.getF32Type());
  if (rounds)
    x = arith::ExtFOp::create(b, loc, f32, x);
  Value scaled = arith::MulFOp::create(
      b, loc, x,
      emitSplat(b, loc, f32, b.getF32FloatAttr(static_cast<float>(p < 1 ? 1 / (1 - p) : 0))));
  Value result = arith::SelectOp::create(b, loc, kept, scaled, zeros(f32));
  return rounds ? Value(arith::TruncFOp::create(b, loc, type, result)) : result;
}

/// The chunks' sums are added in their order.
Value KernelEmitter::sumOverChunks(Operation *reduction, Body &body) {
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
                                     mul(coordinates.back(), kernel.getColumns()));
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

SmallVector<Operation *> KernelEmitter::columnReductionsOf(unsigned phase) const {
  return llvm::filter_to_vector(loops.reductions(Direction::AlongColumns), [&](Operation *op) {
    return loops.phaseOf(op->getResult(0)) == phase + 1;
  });
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
      stores.emplace_back(vectorValue(spill, body),
                          address(chunkMemory, b.getI8Type(), number(kernel.spillOffset(spill))));
  for (auto [i, op] : llvm::enumerate(loops.reductions(Direction::AlongRows)))
    if (loops.phaseOf(op->getResult(0)) == phase) {
      Value x = vectorValue(op->getOperand(0), body);
      Value base = address(chunkMemory, b.getI8Type(), number(kernel.sumOffset(i)));
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
    rowScalars[op->getResult(0)] = vector::ReductionOp::create(b, loc, kind, sum, flags);
  }
}

void KernelEmitter::emitRow(Value row) {
  coordinates.assign(kernel.getRowSizes().size(), Value());
  Value rest = row;
  for (size_t i = coordinates.size(); i-- > 0;) {
    if (i == 0) {
      coordinates[i] = rest;
      break;
    }
    Value size = number(kernel.getRowSizes()[i]);
    coordinates[i] = arith::RemUIOp::create(b, loc, rest, size);
    rest = arith::DivUIOp::create(b, loc, rest, size);
  }
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
            address(chunkMemory, b.getI8Type(), number(kernel.sumOffset(i))), column, mask);
      return SmallVector<Value>();
    });
  auto rows = [&](OpBuilder &builder, Location, Value row, ValueRange) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(builder.getInsertionBlock(), builder.getInsertionPoint());
    emitRow(row);
    scf::YieldOp::create(b, loc);
  };
  scf::ForOp::create(b, loc, function.getArgument(1), function.getArgument(2), number(1),
                     ValueRange(), rows);
  func::ReturnOp::create(b, loc);
}

void KernelEmitter::emitColumns(StringRef name) {
  isColumnLoop = true;
  rowScalars.clear();
  rowPointers.clear();
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
