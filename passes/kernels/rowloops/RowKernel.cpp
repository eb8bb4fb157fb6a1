//===- RowKernel.cpp - row loops over operands with strides -----------------------------------===//

#include "passes/kernels/rowloops/RowKernel.h"

#include "passes/kernels/rowloops/EmitElement.h"

using namespace mlir;

namespace deepshard {

namespace {

/// Elements that a chunk should have at least to pay for a thread.
constexpr int64_t kChunkElements = 8192;
/// The most operations to compute a value again rather than keep it.
constexpr int kCheap = 6;

RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

Strides contiguousStrides(ArrayRef<int64_t> shape) {
  Strides strides(shape.size(), 1);
  for (size_t dim = shape.size(); dim-- > 1;)
    strides[dim - 1] = strides[dim] * shape[dim];
  return strides;
}

/// Strides along the dimensions of the domain.
Strides alongDomain(const IterationDomain &domain, Value value, ArrayRef<int64_t> strides) {
  Strides result(domain.getSizes().size(), 0);
  for (auto [dim, stride] : llvm::zip_equal(domain.dimsOf(value), strides))
    if (dim >= 0)
      result[dim] = stride;
  return result;
}

/// Whether operand `value` has elements along the loops.
bool hasElements(const RowLoops &loops, Value value) {
  return llvm::any_of(value.getUsers(), [&](Operation *user) {
    return user->getNumResults() == 1 && loops.isInternal(user->getResult(0)) &&
           (!isa<graph::DropoutOp>(user) || user->getOperand(0) == value);
  });
}

} // namespace

std::optional<RowKernel> RowKernel::of(RowLoops loops, ArrayRef<Strides> inputs,
                                       ArrayRef<Strides> outputs, int threads,
                                       int64_t blockColumns) {
  RowKernel kernel;
  kernel.loops = std::move(loops);
  if (!kernel.cutLoops(inputs, outputs, blockColumns))
    return std::nullopt;
  int64_t rows = kernel.getRows();
  kernel.chunks = std::clamp<int64_t>(rows * kernel.columns / kChunkElements, 1,
                                      std::min<int64_t>(threads, std::max<int64_t>(rows, 1)));
  kernel.chooseSpills();
  return kernel;
}

std::optional<RowKernel> RowKernel::ofContiguous(RowLoops loops, int threads) {
  auto strides = [](ArrayRef<Value> values) {
    return llvm::map_to_vector(
        values, [](Value value) { return contiguousStrides(typeOf(value).getShape()); });
  };
  SmallVector<Strides> inputs = strides(loops.getInputs()), outputs = strides(loops.getOutputs());
  return of(std::move(loops), inputs, outputs, threads);
}

int64_t RowKernel::getRows() const {
  int64_t rows = 1;
  for (int64_t size : rowSizes)
    rows *= size;
  return rows;
}

bool RowKernel::cutLoops(ArrayRef<Strides> inputStrides, ArrayRef<Strides> outputStrides,
                         int64_t blockColumns) {
  const IterationDomain &domain = loops.getDomain();
  ArrayRef<int64_t> sizes = domain.getSizes();
  // All that moves: inputs, outputs, the indices of dropouts, the numbers of iotas.
  SmallVector<Strides> moves;
  for (auto [input, strides] : llvm::zip_equal(loops.getInputs(), inputStrides))
    moves.push_back(hasElements(loops, input) ? alongDomain(domain, input, strides)
                                              : Strides(sizes.size(), 0));
  for (auto [output, strides] : llvm::zip_equal(loops.getOutputs(), outputStrides))
    moves.push_back(alongDomain(domain, output, strides));
  SmallVector<Operation *> indexed;
  for (Operation *op : loops.getOps()) {
    if (auto iota = dyn_cast<graph::IotaOp>(op)) {
      indexed.push_back(op);
      Strides strides(iota.getType().getRank(), 0);
      strides[iota.getDim()] = 1;
      moves.push_back(alongDomain(domain, iota.getResult(), strides));
    }
    if (auto dropout = dyn_cast<graph::DropoutOp>(op)) {
      indexed.push_back(op);
      std::optional<ArrayRef<int64_t>> whole = dropout.getGlobalShape();
      moves.push_back(
          alongDomain(domain, dropout.getResult(),
                      contiguousStrides(whole ? *whole : dropout.getType().getShape())));
    }
  }

  // Dimensions i and i + 1 are one loop if everything moves along them as along one.
  auto merges = [&](size_t i) {
    return llvm::all_of(moves,
                        [&](const Strides &move) { return move[i] == move[i + 1] * sizes[i + 1]; });
  };
  size_t rank = sizes.size(), rowDims = domain.getRowDims().value_or(rank - 1);
  if (!domain.getRowDims())
    while (rowDims > 0 && merges(rowDims - 1))
      --rowDims;
  for (size_t i = rowDims; i + 1 < rank; ++i)
    if (!merges(i))
      return false;
  if (rowDims < rank)
    for (size_t i = rowDims; i < rank; ++i)
      allColumns *= sizes[i];
  columns = allColumns;

  SmallVector<Access> accesses(moves.size());
  for (auto [access, move] : llvm::zip_equal(accesses, moves))
    access.column = rowDims < rank ? move[rank - 1] : 0;
  if (llvm::any_of(accesses,
                   [](const Access &access) { return access.column != 0 && access.column != 1; }))
    return false;
  for (size_t i = 0; i < rowDims;) {
    size_t last = i;
    int64_t size = sizes[i];
    while (last + 1 < rowDims && merges(last))
      size *= sizes[++last];
    rowSizes.push_back(size);
    for (auto [access, move] : llvm::zip_equal(accesses, moves))
      access.rows.push_back(move[last]);
    i = last + 1;
  }
  if (!domain.getRowDims() && allColumns > 2 * blockColumns) {
    columns = blockColumns;
    rowSizes.push_back((allColumns + columns - 1) / columns);
    for (Access &access : accesses)
      access.rows.push_back(access.column * columns);
  }

  size_t inputCount = inputStrides.size(), outputCount = outputStrides.size();
  inputs.assign(accesses.begin(), accesses.begin() + inputCount);
  outputs.assign(accesses.begin() + inputCount, accesses.begin() + inputCount + outputCount);
  for (auto [i, op] : llvm::enumerate(indexed))
    indices[op] = accesses[inputCount + outputCount + i];
  for (auto [value, access] : llvm::zip_equal(loops.getOutputs(), outputs))
    if (domain.spanOf(value) != Span::Row && columns > 1 && access.column != 1)
      return false;
  return true;
}

/// Roughly the instructions per element.
int RowKernel::cost(Value value) const {
  Operation *op = value.getDefiningOp();
  if (!loops.isInternal(value) || loops.isStored(value) || isSpilled(value) ||
      isa<graph::ConstantOp>(op) || loops.getDomain().spanOf(value) == Span::Row ||
      loops.getDomain().spanOf(value) == Span::Scalar)
    return 0;
  int own = 1;
  if (isa<graph::DropoutOp>(op))
    own = 50;
  else if (isTranscendental(op))
    own = 15;
  else if (isa<graph::DivOp, graph::SqrtOp, graph::RsqrtOp, graph::ReciprocalOp>(op))
    own = 4;
  else if (isRenaming(op))
    own = 0;
  for (Value operand : op->getOperands())
    own += cost(operand);
  return std::min(own, 1000);
}

void RowKernel::require(Value value, unsigned phase) {
  if (!loops.isInternal(value) || isa<graph::ConstantOp>(value.getDefiningOp()))
    return;
  Span span = loops.getDomain().spanOf(value);
  if (span == Span::Row || span == Span::Scalar)
    return;
  if (span == Span::Full && loops.phaseOf(value) < phase) {
    if (loops.isStored(value) || isSpilled(value))
      return;
    if (cost(value) > kCheap) {
      spills.insert(value);
      require(value, loops.phaseOf(value));
      return;
    }
  }
  for (Value operand : value.getDefiningOp()->getOperands())
    require(operand, phase);
}

void RowKernel::chooseSpills() {
  for (Value output : loops.getOutputs())
    if (loops.getDomain().spanOf(output) == Span::Full)
      require(output, loops.phaseOf(output));
  for (Operation *op : loops.reductions(Direction::AlongColumns))
    require(op->getOperand(0), loops.phaseOf(op->getResult(0)) - 1);
  for (Operation *op : loops.reductions(Direction::AlongRows))
    require(op->getOperand(0), loops.phaseOf(op->getResult(0)));
}

bool RowKernel::hasColumnLoop() const {
  return llvm::any_of(loops.getOutputs(), [&](Value output) {
    return loops.getDomain().spanOf(output) == Span::Column;
  });
}

int64_t RowKernel::spillOffset(Value value) const {
  auto offset = static_cast<int64_t>(loops.reductions(Direction::AlongRows).size()) * rowBytes(4);
  for (Value spill : spills) {
    if (spill == value)
      break;
    offset += spillBytes(spill);
  }
  return offset;
}

int64_t RowKernel::chunkBytes() const {
  auto bytes = static_cast<int64_t>(loops.reductions(Direction::AlongRows).size()) * rowBytes(4);
  for (Value spill : spills)
    bytes += spillBytes(spill);
  return bytes;
}

int64_t RowKernel::spillBytes(Value value) const {
  return rowBytes(std::max(1u, typeOf(value).getElementTypeBitWidth() / 8));
}

} // namespace deepshard
