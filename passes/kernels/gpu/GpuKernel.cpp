//===- GpuKernel.cpp - row loops on a GPU -----------------------------------------------------===//

#include "passes/kernels/gpu/GpuKernel.h"

#include "llvm/Support/MathExtras.h"

#include <numeric>

using namespace mlir;

namespace deepshard {

namespace {

/// Threads of a block that has the choice, and the most of one that holds a row: with more, a
/// thread has too few registers.
constexpr int64_t kBlockThreads = 256, kMostRowThreads = 512;
/// Registers that a thread can spend on what it keeps of a row, and elements of each row it keeps.
constexpr int64_t kRowRegisters = 64, kMostElements = 32;
/// Enough blocks for the largest GPU several times over.
constexpr int64_t kManyBlocks = 1024;
/// Rows of a chunk, to pay for writing and reading its sums.
constexpr int64_t kChunkRows = 16;

int64_t bytesOf(Value value) {
  unsigned bits = cast<RankedTensorType>(value.getType()).getElementTypeBitWidth();
  return std::max(1u, bits / 8);
}

} // namespace

std::optional<GpuKernel> GpuKernel::of(const RowLoops &loops, ArrayRef<Strides> inputs,
                                       ArrayRef<Strides> outputs, ArrayRef<int64_t> alignments) {
  int64_t widest = 1;
  for (Value output : loops.getOutputs())
    widest = std::max(widest, bytesOf(output));
  // Where the group leaves open what rows are, a row is what a block reads at once.
  std::optional<RowKernel> rows =
      RowKernel::of(loops, inputs, outputs, /*threads=*/1, kBlockThreads * (kAccessBytes / widest));
  if (!rows)
    return std::nullopt;
  GpuKernel kernel(std::move(*rows));
  kernel.chooseWidth(alignments);
  if (kernel.getLoops().reductions(Direction::AlongColumns).empty())
    kernel.chooseTile();
  else if (!kernel.chooseRow())
    kernel.chooseLongRow();
  return kernel;
}

/// The widest access of up to 16 bytes that suits all operands: neighbouring threads then read
/// neighbouring bytes. Operands of narrower elements are accessed with fewer bytes a thread.
void GpuKernel::chooseWidth(ArrayRef<int64_t> alignments) {
  const RowLoops &loops = getLoops();
  size_t inputs = loops.getInputs().size();
  struct Operand {
    const Access *access;
    int64_t bytes, alignment;
  };
  SmallVector<Operand> moving;
  auto visit = [&](Value value, const Access &access, size_t place) {
    if (access.column == 1)
      moving.push_back(
          {&access, bytesOf(value), alignments.empty() ? kAccessBytes : alignments[place]});
  };
  for (auto [i, input] : llvm::enumerate(loops.getInputs()))
    visit(input, kernel.inputAccess(i), i);
  for (auto [i, output] : llvm::enumerate(loops.getOutputs()))
    visit(output, kernel.outputAccess(i), inputs + i);
  // Those that do not move along the rows are few bytes.
  auto isLarge = [](const Operand &operand) {
    return operand.access->rows.empty() ||
           llvm::any_of(operand.access->rows, [](int64_t stride) { return stride != 0; });
  };
  int64_t widest = 1;
  for (const Operand &operand : moving)
    if (isLarge(operand))
      widest = std::max(widest, operand.bytes);
  auto suits = [&](int64_t width) {
    return kernel.getColumns() % width == 0 && kernel.getAllColumns() % width == 0 &&
           llvm::all_of(moving, [&](const Operand &operand) {
             int64_t bytes = std::min(kAccessBytes, width * operand.bytes);
             return operand.alignment % bytes == 0 &&
                    llvm::all_of(operand.access->rows, [&](int64_t stride) {
                      return stride * operand.bytes % bytes == 0;
                    });
           });
  };
  for (width = kAccessBytes / widest; width > 1 && !suits(width);)
    width /= 2;
}

void GpuKernel::chooseTile() {
  form = Form::Tile;
  int64_t rows = kernel.getRows(), groups = kernel.getColumns() / width;
  threadsPerRow = std::min(groups, kBlockThreads);
  if (groups > kBlockThreads) // without threads that have no columns, if possible
    for (int64_t threads = kBlockThreads; threads >= kBlockThreads / 2; threads -= kWarp)
      if (groups % threads == 0) {
        threadsPerRow = threads;
        break;
      }
  rowsPerBlock = std::clamp<int64_t>(kBlockThreads / threadsPerRow, 1, rows);
  columnTiles = llvm::divideCeil(groups, threadsPerRow);
  int64_t most = llvm::divideCeil(rows, rowsPerBlock);
  if (sums() > 0) {
    rowBlocks = std::clamp<int64_t>(rows / (kChunkRows * rowsPerBlock), 1,
                                    std::max<int64_t>(kManyBlocks / columnTiles, 1));
  } else {
    int64_t rowsPerThread = std::clamp<int64_t>(most * columnTiles / kManyBlocks, 1, 8);
    rowBlocks = llvm::divideCeil(most, rowsPerThread);
  }
  rowsAtOnce = std::clamp<int64_t>(llvm::bit_floor<uint64_t>(most / rowBlocks), 1, 4);
  auto inputs = static_cast<int64_t>(getLoops().getInputs().size());
  while (rowsAtOnce > 1 && rowsAtOnce * inputs * width > kRowRegisters)
    rowsAtOnce /= 2;
}

int64_t GpuKernel::liveVectors() const {
  const RowLoops &loops = getLoops();
  const IterationDomain &domain = loops.getDomain();
  auto isKept = [&](Value value, unsigned first) {
    if (domain.spanOf(value) != Span::Full || isLeaf(value.getDefiningOp()))
      return false;
    return llvm::any_of(value.getUsers(), [&](Operation *user) {
      if (user->getNumResults() != 1 || !loops.isInternal(user->getResult(0)))
        return false;
      unsigned phase = loops.phaseOf(user->getResult(0));
      bool endsPhase =
          IterationDomain::isReduction(user) && domain.directionOf(user) == Direction::AlongColumns;
      return phase - (endsPhase ? 1 : 0) > first;
    });
  };
  int64_t live = 0;
  for (Value input : loops.getInputs())
    live += isKept(input, 0);
  for (Operation *op : loops.getOps())
    live += isKept(op->getResult(0), loops.phaseOf(op->getResult(0)));
  return live;
}

bool GpuKernel::chooseRow() {
  form = Form::Row;
  int64_t rows = kernel.getRows(), groups = kernel.getColumns() / width;
  int64_t elements =
      std::min(kMostElements, kRowRegisters / std::max<int64_t>(liveVectors() + sums(), 1));
  auto vectorsOf = [&](int64_t threads) {
    return static_cast<int64_t>(llvm::divideCeil(groups, threads));
  };
  auto fits = [&](int64_t threads) {
    return vectorsOf(threads) == 1 || vectorsOf(threads) * width <= elements;
  };
  if (groups < kWarp) {
    threadsPerRow = llvm::bit_ceil<uint64_t>(groups);
  } else if (sums() > 0) {
    // Blocks of many threads, so that few of them, and few chunks, keep the GPU busy.
    threadsPerRow = std::min<int64_t>(llvm::alignTo(groups, kWarp), kMostRowThreads);
  } else {
    threadsPerRow = kWarp;
    while (threadsPerRow < kMostRowThreads && !fits(threadsPerRow))
      threadsPerRow += kWarp;
    // Some more, if then all have columns in every vector.
    for (int64_t threads = threadsPerRow; threads <= std::min(2 * threadsPerRow, kMostRowThreads);
         threads += kWarp)
      if (groups % threads == 0) {
        threadsPerRow = threads;
        break;
      }
  }
  if (!fits(threadsPerRow))
    return false;
  vectors = vectorsOf(threadsPerRow);
  // Whole warps.
  int64_t rowsPerWarp = std::max<int64_t>(kWarp / threadsPerRow, 1);
  rowsPerBlock = threadsPerRow > kWarp ? 1
                                       : std::min<int64_t>(kBlockThreads / threadsPerRow,
                                                           llvm::alignTo(rows, rowsPerWarp));
  rowBlocks = llvm::divideCeil(rows, rowsPerBlock);
  if (sums() > 0)
    rowBlocks = std::clamp<int64_t>(rows / (kChunkRows * rowsPerBlock), 1, kManyBlocks / 2);
  return true;
}

void GpuKernel::chooseLongRow() {
  form = Form::LongRow;
  threadsPerRow = kMostRowThreads;
  rowsPerBlock = 1;
  vectors = 4;
  auto inputs = static_cast<int64_t>(getLoops().getInputs().size());
  while (vectors > 1 && vectors * (inputs + liveVectors()) * width > kRowRegisters)
    vectors /= 2;
  rowBlocks = kernel.getRows();
  if (chunkBytes() > 0)
    rowBlocks = std::min(rowBlocks, kManyBlocks / 2);
}

bool GpuKernel::hasRowLoop() const {
  return sums() > 0 || llvm::any_of(getLoops().getOutputs(), [&](Value output) {
           return getLoops().getDomain().spanOf(output) != Span::Column;
         });
}

int64_t GpuKernel::chunkBytes() const {
  return form == Form::LongRow ? kernel.chunkBytes() : kernel.sumOffset(sums());
}

int64_t GpuKernel::chunkSlots() const {
  return sums() == 0 ? 1 : std::min<int64_t>(llvm::bit_floor<uint64_t>(getChunks()), 16);
}

bool GpuKernel::hasShortIndices() const {
  constexpr int64_t kMost = (int64_t{1} << 31) - (int64_t{1} << 24);
  auto fits = [&](const Access &access) {
    int64_t last = kernel.getColumns();
    for (auto [size, stride] : llvm::zip_equal(kernel.getRowSizes(), access.rows))
      last += (size - 1) * std::abs(stride);
    return last < kMost;
  };
  const RowLoops &loops = getLoops();
  for (size_t i = 0; i < loops.getInputs().size(); ++i)
    if (!fits(kernel.inputAccess(i)))
      return false;
  for (size_t i = 0; i < loops.getOutputs().size(); ++i)
    if (!fits(kernel.outputAccess(i)))
      return false;
  return kernel.getRows() + rowStride() * rowsAtOnce < kMost && kernel.chunkBytes() < kMost;
}

} // namespace deepshard
