//===- EmitValues.cpp - the values of row loops -----------------------------------------------===//

#include "passes/kernels/rowloops/EmitValues.h"

#include "passes/kernels/rowloops/EmitElement.h"
#include "passes/kernels/rowloops/EmitPhilox.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <cmath>

using namespace mlir;

namespace deepshard {

static RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

/// Inserts at the row level while it lives, wherever the builder stands.
#define AT_ROW_LEVEL                                                                               \
  OpBuilder::InsertionGuard guard(b);                                                              \
  if (inBody)                                                                                      \
  b.restoreInsertionPoint(rowPoint)

ValueEmitter::ValueEmitter(const RowKernel &kernel, MLIRContext *context, Type index)
    : kernel(kernel), loops(kernel.getLoops()), domain(loops.getDomain()), b(context),
      loc(b.getUnknownLoc()), index(index) {}

ValueEmitter::~ValueEmitter() = default;

//===------------------------------------------------------------------------------------------===//
// Numbers and addresses
//===------------------------------------------------------------------------------------------===//

Value ValueEmitter::wide(Value x) {
  return x.getType().isInteger(64) ? x : arith::ExtUIOp::create(b, loc, b.getI64Type(), x);
}

Type ValueEmitter::memoryType(Type element) {
  return element.isInteger(1) ? b.getI8Type() : isNarrowFloat(element) ? b.getI16Type() : element;
}

Value ValueEmitter::address(Value base, Type element, Value offset) {
  return LLVM::GEPOp::create(b, loc, base.getType(), memoryType(element), base,
                             LLVM::GEPArg(offset));
}

/// Of narrow floats the bits are repeated, as they are moved.
Value ValueEmitter::splat(Value scalar) {
  Type element = scalar.getType();
  if (!isNarrowFloat(element))
    return vector::BroadcastOp::create(b, loc, vectorOf(element), scalar);
  Type memory = memoryType(element);
  Value bits = arith::BitcastOp::create(b, loc, memory, scalar);
  return fromMemory(vector::BroadcastOp::create(b, loc, vectorOf(memory), bits), element);
}

unsigned ValueEmitter::placeOf(Value operand) const {
  ArrayRef<Value> inputs = loops.getInputs(), outputs = loops.getOutputs();
  if (const auto *input = llvm::find(inputs, operand); input != inputs.end())
    return input - inputs.begin();
  return inputs.size() + (llvm::find(outputs, operand) - outputs.begin());
}

//===------------------------------------------------------------------------------------------===//
// Memory
//===------------------------------------------------------------------------------------------===//

Value ValueEmitter::fromMemory(Value value, Type element) {
  if (element.isInteger(1))
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, value, zeros(value.getType()));
  return isNarrowFloat(element) ? Value(arith::BitcastOp::create(
                                      b, loc, withElementType(value.getType(), element), value))
                                : value;
}

Value ValueEmitter::toMemory(Value value) {
  Type element = getElementTypeOrSelf(value.getType());
  Type memory = withElementType(value.getType(), memoryType(element));
  if (element.isInteger(1))
    return arith::ExtUIOp::create(b, loc, memory, value);
  return isNarrowFloat(element) ? Value(arith::BitcastOp::create(b, loc, memory, value)) : value;
}

Value ValueEmitter::loadScalar(Value base, Type element, Value offset) {
  Value value = LLVM::LoadOp::create(b, loc, memoryType(element), address(base, element, offset),
                                     bytesOf(element));
  return fromMemory(value, element);
}

void ValueEmitter::storeScalar(Value value, Value base, Value offset) {
  Type element = value.getType();
  LLVM::StoreOp::create(b, loc, toMemory(value), address(base, element, offset), bytesOf(element));
}

SmallVector<Value> ValueEmitter::coordinatesOf(Value row) {
  SmallVector<Value> coordinates(kernel.getRowSizes().size());
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
  return coordinates;
}

/// The offset of the row in elements.
Value ValueEmitter::rowOffset(const Access &access, Type type) {
  Value offset = number(type, 0);
  if (isColumnLoop)
    return offset;
  for (auto [coordinate, stride] : llvm::zip_equal(row.coordinates, access.rows))
    if (stride != 0)
      offset = add(offset, mul(type == index ? coordinate : wide(coordinate), stride));
  return offset;
}

std::pair<Value, Type> ValueEmitter::rowPointer(Value operand) {
  auto [it, isNew] = row.pointers.try_emplace(operand);
  if (isNew) {
    AT_ROW_LEVEL;
    unsigned place = placeOf(operand), inputs = loops.getInputs().size();
    const Access &access =
        place < inputs ? kernel.inputAccess(place) : kernel.outputAccess(place - inputs);
    Type element = typeOf(operand).getElementType();
    Value base = operandPointer(place);
    row.pointers[operand] = {address(base, element, rowOffset(access, index)), element};
  }
  return row.pointers[operand];
}

Value ValueEmitter::spillPointer(Value value) {
  return address(chunkMemory, b.getI8Type(), number(kernel.spillOffset(value)));
}

Value ValueEmitter::sumPointer(unsigned reduction) {
  return address(chunkMemory, b.getI8Type(), number(kernel.sumOffset(reduction)));
}

//===------------------------------------------------------------------------------------------===//
// Values
//===------------------------------------------------------------------------------------------===//

/// Vectors of an input; one that repeats along the columns is loaded once a row.
Value ValueEmitter::inputColumn(Value input, Body &body) {
  unsigned place = llvm::find(loops.getInputs(), input) - loops.getInputs().begin();
  if (kernel.inputAccess(place).column == 0)
    return splat(rowValue(input));
  auto [base, element] = rowPointer(input);
  return loadVector(base, element, body.column, body.mask);
}

/// What has been counted in integers, as integers of another width or as f32.
Value ValueEmitter::asNumbers(Value count, Type type) {
  Type from = getElementTypeOrSelf(count.getType()), element = getElementTypeOrSelf(type);
  unsigned bits = element.getIntOrFloatBitWidth();
  Type integers = withElementType(count.getType(), b.getIntegerType(bits));
  if (from.getIntOrFloatBitWidth() < bits)
    count = arith::ExtUIOp::create(b, loc, integers, count);
  else if (from.getIntOrFloatBitWidth() > bits)
    count = arith::TruncIOp::create(b, loc, integers, count);
  return isa<FloatType>(element) ? Value(arith::SIToFPOp::create(
                                       b, loc, withElementType(count.getType(), element), count))
                                 : count;
}

/// The row's number and those of the columns behind it.
Value ValueEmitter::iotaVector(graph::IotaOp op, Body &body) {
  const Access &access = kernel.indexAccess(op);
  Type element = op.getType().getElementType();
  if (access.column == 0)
    return splat(rowValue(op.getResult()));
  Value first = add(rowOffset(access, index), body.column);
  // Counted in the narrower of the two types.
  if (element.getIntOrFloatBitWidth() < index.getIntOrFloatBitWidth())
    first = asNumbers(first, b.getIntegerType(element.getIntOrFloatBitWidth()));
  auto lanes = llvm::map_to_vector(llvm::seq<int64_t>(width), [&](int64_t lane) -> Attribute {
    return b.getIntegerAttr(first.getType(), lane);
  });
  VectorType type = vectorOf(first.getType());
  Value counts =
      add(splat(first), arith::ConstantOp::create(b, loc, DenseElementsAttr::get(type, lanes)));
  return asNumbers(counts, element);
}

Value ValueEmitter::rowValue(Value value) {
  if (Value known = row.scalars.lookup(value))
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
  } else if (auto iota = dyn_cast<graph::IotaOp>(op)) {
    result = asNumbers(rowOffset(kernel.indexAccess(op), index), iota.getType().getElementType());
  } else {
    SmallVector<Value> operands =
        llvm::map_to_vector(op->getOperands(), [&](Value operand) { return rowValue(operand); });
    result = emitElement(b, op, operands);
  }
  return row.scalars[value] = result;
}

Value ValueEmitter::vectorValue(Value value, Body &body) {
  if (Value known = body.vectors.lookup(value))
    return known;
  Operation *op = value.getDefiningOp();
  Value result;
  if (!loops.isInternal(value)) {
    result = inputColumn(value, body);
  } else if (isa<graph::ConstantOp>(op) || domain.spanOf(value) == Span::Row ||
             domain.spanOf(value) == Span::Scalar) {
    result = splat(rowValue(value));
  } else if (readsBack && loops.phaseOf(value) < body.phase && loops.isStored(value)) {
    auto [base, element] = rowPointer(value);
    result = loadVector(base, element, body.column, body.mask);
  } else if (readsBack && loops.phaseOf(value) < body.phase && kernel.isSpilled(value)) {
    result =
        loadVector(spillPointer(value), typeOf(value).getElementType(), body.column, body.mask);
  } else if (IterationDomain::isReduction(op)) {
    result = sumOfRows(op, body);
  } else if (isRenaming(op)) {
    result = vectorValue(op->getOperand(0), body);
  } else if (auto iota = dyn_cast<graph::IotaOp>(op)) {
    result = iotaVector(iota, body);
  } else if (auto dropout = dyn_cast<graph::DropoutOp>(op)) {
    result = dropoutVector(dropout, body);
  } else {
    SmallVector<Value> operands = llvm::map_to_vector(
        op->getOperands(), [&](Value operand) { return vectorValue(operand, body); });
    result = emitElement(b, op, operands);
  }
  return body.vectors[value] = result;
}

SmallVector<Operation *> ValueEmitter::columnReductionsOf(unsigned phase) const {
  return llvm::filter_to_vector(loops.reductions(Direction::AlongColumns), [&](Operation *op) {
    return loops.phaseOf(op->getResult(0)) == phase + 1;
  });
}

//===------------------------------------------------------------------------------------------===//
// Dropout
//===------------------------------------------------------------------------------------------===//

/// Seed (low, high), step, id, and the index (i64) of the tensor's first element.
ArrayRef<Value> ValueEmitter::dropoutKey(graph::DropoutOp op) {
  SmallVector<Value> &key = keys[op];
  if (!key.empty())
    return key;
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointAfter(prologue);
  Type i64 = b.getI64Type();
  auto load = [&](Value operand, int64_t index) {
    return loadScalar(operandPointer(placeOf(operand)), i64, number(index));
  };
  auto low = [&](Value x) {
    return arith::TruncIOp::create(b, loc, b.getI32Type(), x).getResult();
  };
  Value seed = load(op.getCounter(), 0), microBatch = load(op.getCounter(), 2);
  auto argument = op->getAttrOfType<IntegerAttr>(graph::kIdArgumentAttr);
  Value id = argument ? load(loops.getInputs()[argument.getInt()], 0)
                      : number(i64, static_cast<int64_t>(op.getId()));
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
  key = {low(seed), low(arith::ShRUIOp::create(b, loc, seed, number(i64, 32))),
         low(load(op.getCounter(), 1)), low(id), first};
  return key;
}

/// The random word of every lane.
Value ValueEmitter::dropoutWords(graph::DropoutOp op, Body &body) {
  ArrayRef<Value> key = dropoutKey(op);
  Value &rowIndex = row.indices[op];
  if (!rowIndex) {
    AT_ROW_LEVEL;
    rowIndex = add(key[4], rowOffset(kernel.indexAccess(op), b.getI64Type()));
  }
  return emitPhiloxWords(b, loc, add(rowIndex, wide(body.column)), width,
                         {key[0], key[1], key[2], key[3]});
}

/// Kept if the word is not below p 2^32, rounded up; every word is below that for p = 1.
Value ValueEmitter::dropoutVector(graph::DropoutOp op, Body &body) {
  Value own = dropoutWords(op, body);
  double p = op.getP().convertToDouble();
  auto threshold = static_cast<uint64_t>(std::ceil(p * 4294967296.0));
  auto isKept = [&] {
    Value bound =
        emitSplat(b, loc, own.getType(), b.getI32IntegerAttr(static_cast<int32_t>(threshold)));
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::uge, own, bound).getResult();
  };
  Value kept = threshold > 0xFFFFFFFF ? zeros(vectorOf(b.getI1Type())) : isKept();
  Value x = vectorValue(op.getX(), body);
  Type type = x.getType();
  bool isNarrow = isNarrowFloat(getElementTypeOrSelf(type));
  VectorType f32 = vectorOf(b.getF32Type());
  if (isNarrow)
    x = arith::ExtFOp::create(b, loc, f32, x);
  Value scaled = arith::MulFOp::create(
      b, loc, x,
      emitSplat(b, loc, f32, b.getF32FloatAttr(static_cast<float>(p < 1 ? 1 / (1 - p) : 0))));
  Value result = arith::SelectOp::create(b, loc, kept, scaled, zeros(f32));
  return isNarrow ? Value(arith::TruncFOp::create(b, loc, type, result)) : result;
}

} // namespace deepshard
