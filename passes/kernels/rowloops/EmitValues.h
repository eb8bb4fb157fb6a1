//===- EmitValues.h - the values of row loops -------------------------------------------------===//
//
// What the kernels of all targets share: how an operand is addressed, and how a value of the group
// is computed from others. A value is computed where it is first asked for: scalars of a row ahead
// of the loop that reads them, vectors inside it, each once per body. Loads and stores go through
// pointers, so that strides, offsets and shapes are numbers in the code and no descriptor or alias
// question arises.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_KERNELS_ROWLOOPS_EMITVALUES_H
#define DEEPSHARD_PASSES_KERNELS_ROWLOOPS_EMITVALUES_H

#include "passes/kernels/rowloops/RowKernel.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"

namespace deepshard {

class ValueEmitter {
public:
  virtual ~ValueEmitter();

protected:
  using Value = mlir::Value;
  using Type = mlir::Type;

  /// `index` is the type of rows, columns and offsets of elements: i64, or i32 where all fit.
  ValueEmitter(const RowKernel &kernel, mlir::MLIRContext *context, Type index);

  /// What belongs to one vector of columns of a row.
  struct Body {
    Value column; // of the first lane
    Value mask;   // of what is there, as loadVector of the target wants it; null: everything
    unsigned phase;
    llvm::DenseMap<Value, Value> vectors = llvm::DenseMap<Value, Value>();
  };

  /// What belongs to a row.
  struct Row {
    llvm::SmallVector<Value> coordinates; // per row loop
    llvm::DenseMap<Value, Value> scalars;
    llvm::DenseMap<Value, std::pair<Value, Type>> pointers;
    llvm::DenseMap<mlir::Operation *, Value> indices; // of dropouts: of the row's first element
  };

  //===-- the target's own --------------------------------------------------------------------===//

  virtual Value operandPointer(unsigned index) = 0;
  virtual Value loadVector(Value base, Type element, Value offset, Value mask) = 0;
  virtual void storeVector(Value value, Value base, Value offset, Value mask) = 0;
  /// What a reduction along the rows comes to, for some columns.
  virtual Value sumOfRows(mlir::Operation *reduction, Body &body) = 0;

  //===-- numbers and addresses ---------------------------------------------------------------===//

  Value number(int64_t value) { return number(index, value); }
  Value number(Type type, int64_t value) {
    return mlir::arith::ConstantOp::create(b, loc, b.getIntegerAttr(type, value));
  }
  Value add(Value x, Value y) { return mlir::arith::AddIOp::create(b, loc, x, y); }
  Value mul(Value x, int64_t y) {
    return y == 1 ? x : Value(mlir::arith::MulIOp::create(b, loc, x, number(x.getType(), y)));
  }
  /// An index, none of which is negative, as an i64.
  Value wide(Value x);
  mlir::VectorType vectorOf(Type element) const { return mlir::VectorType::get(width, element); }
  /// A flag takes a byte. The bits of narrow floats are moved as integers: CPUs without
  /// instructions for them would move them by way of f32.
  Type memoryType(Type element);
  static unsigned bytesOf(Type element) {
    return std::max(1u, element.getIntOrFloatBitWidth() / 8);
  }
  Value address(Value base, Type element, Value offset);
  Value splat(Value scalar);
  Value zeros(Type type) { return mlir::arith::ConstantOp::create(b, loc, b.getZeroAttr(type)); }
  unsigned placeOf(Value operand) const;
  Value workspacePointer() {
    return operandPointer(loops.getInputs().size() + loops.getOutputs().size());
  }

  //===-- memory ------------------------------------------------------------------------------===//

  Value fromMemory(Value value, Type element);
  Value toMemory(Value value);
  Value loadScalar(Value base, Type element, Value offset);
  void storeScalar(Value value, Value base, Value offset);
  /// The coordinates of a row.
  llvm::SmallVector<Value> coordinatesOf(Value row);
  /// Where an operand's row starts, and its elements.
  std::pair<Value, Type> rowPointer(Value operand);
  /// Where the chunk keeps a value.
  Value spillPointer(Value value);
  Value sumPointer(unsigned reduction);

  //===-- values ------------------------------------------------------------------------------===//

  Value rowValue(Value value);
  Value vectorValue(Value value, Body &body);
  /// The reductions along the columns that end with a phase.
  llvm::SmallVector<mlir::Operation *> columnReductionsOf(unsigned phase) const;

  const RowKernel &kernel;
  const RowLoops &loops;
  const IterationDomain &domain;
  mlir::OpBuilder b;
  mlir::Location loc;
  Type index;
  int64_t width = 1;

  /// Whether values of earlier phases that are stored or spilled are read back; else they stay in
  /// the body.
  bool readsBack = true;
  Value chunkMemory; // address of the chunk's part of the workspace
  bool isColumnLoop = false;
  mlir::OpBuilder::InsertPoint rowPoint; // ahead of the loop over columns that is being emitted
  bool inBody = false;
  Row row;

  /// What all rows read is emitted where the builder stands now.
  void startRows() {
    prologue = &b.getInsertionBlock()->back();
    keys.clear();
  }

private:
  Value rowOffset(const Access &access, Type type);
  Value inputColumn(Value input, Body &body);
  Value asNumbers(Value count, Type type);
  Value iotaVector(graph::IotaOp op, Body &body);
  llvm::ArrayRef<Value> dropoutKey(graph::DropoutOp op);
  Value dropoutWords(graph::DropoutOp op, Body &body);
  Value dropoutVector(graph::DropoutOp op, Body &body);

  mlir::Operation *prologue = nullptr;                              // of the function, its last op
  llvm::DenseMap<mlir::Operation *, llvm::SmallVector<Value>> keys; // of dropouts
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_KERNELS_ROWLOOPS_EMITVALUES_H
