//===- ChunkRows.cpp - a wide value never exists whole ---------------------------------------===//
//
//   before                               behind, in two chunks
//   wide   = x W^T                       wide.0   = x.0 W^T
//   lse    = reduce(wide)                lse.0    = reduce(wide.0)
//   dwide  = f(wide, lse)                dwide.0  = f(wide.0, lse.0)
//   dx     = dwide W                     dx.0     = dwide.0 W
//   dW     = dwide^T x                   dW.0     = dwide.0^T x.0
//                                        wide.1   = x.1 W^T, and so on
//                                        dW       = dW.0 + dwide.1^T x.1
//                                        dx       = concat(dx.0, dx.1)
//
// Which ops take part is RowRegion's matter. A member becomes its own `partition` on rows that are
// fewer; nothing is split over ranks. O(ops x chunks).
//
//===------------------------------------------------------------------------------------------===//

#include "passes/memory/Passes.h"

#include "dialects/graph/KernelAttrs.h"
#include "dialects/graph/PartitionBuilder.h"
#include "passes/Quantities.h"
#include "passes/memory/RowRegion.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/Remarks.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_CHUNKROWS
#include "passes/memory/Passes.h.inc"

namespace {

/// About the size of a chunk of the wide value, and how many of it are worth being cut.
constexpr int64_t kChunkBytes = int64_t(32) << 20, kWorth = 4;
/// Every chunk reads the weights and adds to their gradient again: at most so many bytes for each
/// that is saved.
constexpr int64_t kMovedPerSaved = 1;

int64_t bytesOf(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  return type.getNumElements() * llvm::divideCeil(type.getElementTypeBitWidth(), 8);
}

bool hasRows(const RowDims &rows) {
  return llvm::any_of(rows, [](const AxisList &list) { return !list.empty(); });
}

//===------------------------------------------------------------------------------------------===//
// Chunks
//===------------------------------------------------------------------------------------------===//

/// Part of a row axis.
struct Range {
  int64_t begin, size;
};

/// How the rows are cut: an axis behind another one only if that is cut into single indices, so
/// that the rows of a chunk lie one behind another.
class Chunks {
public:
  /// At least `count` of them, if there are so many rows, as even as can be.
  Chunks(ArrayRef<int64_t> axes, int64_t count) : axes(axes) {
    for (int64_t size : axes) {
      numbers.push_back(std::clamp<int64_t>(count, 1, size));
      count = llvm::divideCeil(count, size);
    }
  }

  int64_t size() const { return llvm::product_of(numbers); }
  /// Into how many parts an axis is cut.
  int64_t parts(unsigned axis) const { return numbers[axis]; }
  int64_t allRows() const { return llvm::product_of(axes); }
  /// Those of the first chunk, of which none has more.
  int64_t mostRows() const {
    int64_t rows = 1;
    for (const Range &range : ranges(0))
      rows *= range.size;
    return rows;
  }
  /// The part of each axis, the last axis varying fastest.
  SmallVector<Range> ranges(int64_t chunk) const {
    SmallVector<Range> result(axes.size());
    for (size_t axis = axes.size(); axis-- > 0; chunk /= numbers[axis]) {
      const int64_t part = chunk % numbers[axis];
      auto begin = [&](int64_t part) -> int64_t {
        return llvm::divideCeil(part * axes[axis], numbers[axis]);
      };
      result[axis] = {begin(part), begin(part + 1) - begin(part)};
    }
    return result;
  }

private:
  SmallVector<int64_t> axes, numbers;
};

/// The part of a dimension of size `size` whose major part the row axes `list` are.
Range rangeOf(int64_t size, const AxisList &list, ArrayRef<Range> ranges, ArrayRef<int64_t> axes) {
  Range part = {0, 1};
  for (unsigned axis : list) {
    part = {part.begin * axes[axis] + ranges[axis].begin, part.size * ranges[axis].size};
    size /= axes[axis];
  }
  return {part.begin * size, part.size * size};
}

/// Bytes that are read or written once more for each further chunk.
int64_t bytesPerChunk(const RowRegion &region) {
  int64_t bytes = 0;
  for (const auto &[op, member] : region.getMembers())
    for (auto [operand, rows] : llvm::zip_equal(op->getOperands(), member.operands))
      if (!hasRows(rows))
        bytes += bytesOf(operand);
  for (OpResult output : region.outputs())
    if (region.combination(output))
      bytes += 2 * bytesOf(output);
  return bytes;
}

/// Into how many chunks it pays to cut; 1: none.
Chunks chooseChunks(const RowRegion &region) {
  const int64_t bytes = bytesOf(region.wideValue()), again = bytesPerChunk(region);
  for (int64_t count = bytes >= kWorth * kChunkBytes ? llvm::divideCeil(bytes, kChunkBytes) : 1;
       count > 1; --count) {
    const Chunks chunks(region.getAxes(), count);
    const int64_t saved = bytes - bytes / chunks.allRows() * chunks.mostRows();
    if ((chunks.size() - 1) * again <= kMovedPerSaved * saved)
      return chunks;
  }
  return Chunks(region.getAxes(), 1);
}

//===------------------------------------------------------------------------------------------===//
// The ops of a chunk
//===------------------------------------------------------------------------------------------===//

/// Gives every op that is inserted phase and chunk; what is made for the backward is not kept.
class ChunkListener : public OpBuilder::Listener {
public:
  explicit ChunkListener(Attribute phase) : phase(phase) {}
  void notifyOperationInserted(Operation *op, OpBuilder::InsertPoint) override {
    op->setAttr(graph::kPhaseAttr, phase);
    op->removeAttr(graph::kRecomputeAttr);
    if (chunk)
      op->setAttr(graph::kChunkAttr, chunk);
  }

  Attribute phase, chunk; // no chunk: what joins them
};

/// An op as its `partition` sees it: whole, but with fewer rows.
class OpOnRows : public graph::PartitionBuilder {
public:
  OpOnRows(OpBuilder &theBuilder, Operation *op, graph::ShardingRule theRule,
           ArrayRef<Value> operands)
      : theBuilder(theBuilder), op(op), theRule(std::move(theRule)), operands(operands) {}

  OpBuilder &builder() override { return theBuilder; }
  Location location() const override { return op->getLoc(); }
  const graph::ShardingRule &rule() const override { return theRule; }
  Value operand(unsigned index) override { return operands[index]; }
  int64_t numParts(unsigned) const override { return 1; }
  // Asked of factors that are split, and of these there are none.
  Value partIndex(unsigned) override { llvm_unreachable("no factor is split"); }
  Value allReduce(Value value, graph::ReductionKind, unsigned) override { return value; }
  Value rotate(Value value, unsigned, int64_t) override { return value; }
  void addAfterReduction(unsigned, Value) override { llvm_unreachable("no factor is split"); }

private:
  OpBuilder &theBuilder;
  Operation *op;
  graph::ShardingRule theRule;
  ArrayRef<Value> operands;
};

class Chunking {
public:
  Chunking(const RowRegion &region, const Chunks &chunks)
      : region(region), chunks(chunks), outputs(region.outputs()),
        listener(region.getMembers().back().first->getAttr(graph::kPhaseAttr)),
        builder(region.wideValue().getContext(), &listener) {}

  LogicalResult run();

private:
  LogicalResult emit(int64_t chunk);
  FailureOr<SmallVector<Value>> emit(Operation *op, const RowRegion::Member &member,
                                     ArrayRef<Range> ranges, IRMapping &mapping);
  Value rowsOf(Value value, const RowDims &rows, ArrayRef<Range> ranges);
  Value join(OpResult output, ArrayRef<Value> parts);
  void moveBehind(Operation *point);

  const RowRegion &region;
  const Chunks &chunks;
  SmallVector<OpResult> outputs;
  ChunkListener listener;
  OpBuilder builder;
  llvm::DenseMap<Value, SmallVector<Value>> partsOf; // of outputs
};

/// The rows of `value` in a chunk.
Value Chunking::rowsOf(Value value, const RowDims &rows, ArrayRef<Range> ranges) {
  if (!hasRows(rows))
    return value;
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<int64_t> starts, limits, strides(rows.size(), 1), shape;
  for (auto [size, list] : llvm::zip_equal(type.getShape(), rows)) {
    const Range range = rangeOf(size, list, ranges, region.getAxes());
    starts.push_back(range.begin);
    limits.push_back(range.begin + range.size);
    shape.push_back(range.size);
  }
  DenseElementsAttr constant;
  if (matchPattern(value, m_Constant(&constant)) && constant.isSplat())
    return graph::ConstantOp::create(builder, value.getLoc(),
                                     constant.resizeSplat(type.clone(shape)));
  return graph::SliceOp::create(builder, value.getLoc(), value, starts, limits, strides);
}

FailureOr<SmallVector<Value>> Chunking::emit(Operation *op, const RowRegion::Member &member,
                                             ArrayRef<Range> ranges, IRMapping &mapping) {
  SmallVector<Value> operands;
  for (auto [operand, rows] : llvm::zip_equal(op->getOperands(), member.operands)) {
    Value own = mapping.lookupOrNull(operand);
    operands.push_back(own ? own : rowsOf(operand, rows, ranges));
  }
  graph::ShardingRule rule = member.rule;
  for (auto [factor, list] : llvm::zip_equal(rule.factors, member.factors))
    factor.size = rangeOf(factor.size, list, ranges, region.getAxes()).size;
  OpOnRows part(builder, op, std::move(rule), operands);
  return cast<graph::ShardingRuleOpInterface>(op).partition(part);
}

LogicalResult Chunking::emit(int64_t chunk) {
  listener.chunk = builder.getI64IntegerAttr(chunk);
  IRMapping mapping;
  for (const auto &[op, member] : region.getMembers()) {
    FailureOr<SmallVector<Value>> results = emit(op, member, chunks.ranges(chunk), mapping);
    if (failed(results))
      return op->emitOpError("cannot be computed on some of its rows");
    for (auto [result, part] : llvm::zip_equal(op->getResults(), *results)) {
      mapping.map(result, part);
      if (!llvm::is_contained(outputs, result))
        continue;
      // Sums are added up at once, so that no two parts have to wait.
      SmallVector<Value> &parts = partsOf[result];
      std::optional<graph::ReductionKind> kind = region.combination(result);
      if (!kind || parts.empty())
        parts.push_back(part);
      else if (*kind == graph::ReductionKind::Sum)
        parts.back() = graph::AddOp::create(builder, op->getLoc(), parts.back(), part);
      else if (*kind == graph::ReductionKind::Max)
        parts.back() = graph::MaximumOp::create(builder, op->getLoc(), parts.back(), part);
      else
        parts.back() = graph::MinimumOp::create(builder, op->getLoc(), parts.back(), part);
    }
  }
  return success();
}

/// Puts the chunks of an output one behind another: those of the last axis first.
Value Chunking::join(OpResult output, ArrayRef<Value> chunked) {
  SmallVector<Value> parts(chunked);
  const RowRegion::Member &member = region.getMembers().find(output.getOwner())->second;
  SmallVector<unsigned> dimOf(region.getAxes().size());
  for (auto [dim, list] : llvm::enumerate(member.results[output.getResultNumber()]))
    for (unsigned axis : list)
      dimOf[axis] = dim;
  for (size_t axis = dimOf.size(); axis > 0 && parts.size() > 1;) {
    const unsigned dim = dimOf[axis - 1];
    int64_t together = 1;
    for (; axis > 0 && (dimOf[axis - 1] == dim || chunks.parts(axis - 1) == 1); --axis)
      together *= chunks.parts(axis - 1);
    if (together == 1)
      continue;
    SmallVector<Value> joined;
    for (size_t first = 0; first < parts.size(); first += together)
      joined.push_back(graph::ConcatOp::create(builder, output.getLoc(),
                                               ArrayRef(parts).slice(first, together), dim));
    parts = joined;
  }
  return parts.front();
}

/// What depends on the region and stood before `point` comes behind it, and nothing behind it is
/// forward any more.
void Chunking::moveBehind(Operation *point) {
  llvm::DenseSet<Operation *> dependent;
  for (OpResult output : outputs)
    dependent.insert(output.getOwner());
  SmallVector<Operation *> before;
  bool isBefore = true;
  Operation *anchor = region.wideValue().getDefiningOp();
  for (Operation &op : llvm::make_range(anchor->getIterator(), point->getBlock()->end())) {
    isBefore &= &op != point;
    if (region.getMembers().contains(&op) || llvm::none_of(op.getOperands(), [&](Value operand) {
          return dependent.contains(operand.getDefiningOp());
        }))
      continue;
    dependent.insert(&op);
    if (op.getAttr(graph::kPhaseAttr))
      op.setAttr(graph::kPhaseAttr, listener.phase);
    op.removeAttr(graph::kRecomputeAttr);
    if (isBefore)
      before.push_back(&op);
  }
  for (Operation *op : before)
    op->moveBefore(point);
}

LogicalResult Chunking::run() {
  // Behind everything that is read.
  Operation *last = region.wideValue().getDefiningOp();
  const SmallVector<Value> inputs = region.inputs();
  for (Value input : inputs)
    if (Operation *maker = input.getDefiningOp(); maker && last->isBeforeInBlock(maker))
      last = maker;
  Operation *point = last->getNextNode();
  builder.setInsertionPoint(point);
  for (int64_t chunk = 0; chunk < chunks.size(); ++chunk)
    if (failed(emit(chunk)))
      return failure();
  listener.chunk = {};
  SmallVector<Value> joined =
      llvm::map_to_vector(outputs, [&](OpResult output) { return join(output, partsOf[output]); });
  moveBehind(point);
  for (auto [output, value] : llvm::zip_equal(outputs, joined))
    output.replaceAllUsesWith(value);
  // What nobody reads any more: members, and constants that they read.
  SmallVector<Operation *> unread;
  for (Value input : inputs)
    if (auto constant = input.getDefiningOp<graph::ConstantOp>())
      unread.push_back(constant);
  for (const auto &[op, member] : region.getMembers())
    unread.push_back(op);
  for (Operation *op : llvm::reverse(unread))
    if (op->use_empty())
      op->erase();
  return success();
}

void explain(const RowRegion &region, const Chunks &chunks) {
  const int64_t bytes = bytesOf(region.wideValue());
  remark::passed(region.wideValue().getLoc(),
                 remark::RemarkOpts::name("chunk-rows").category("memory"))
      << llvm::formatv("{0} rows are computed in {1} chunks, forward and backward: {2} at a time "
                       "instead of {3}; {4} are moved again for it",
                       chunks.allRows(), chunks.size(),
                       bytesText(bytes / chunks.allRows() * chunks.mostRows()), bytesText(bytes),
                       bytesText((chunks.size() - 1) * bytesPerChunk(region)))
             .str();
}

struct ChunkRowsPass : impl::ChunkRowsBase<ChunkRowsPass> {
  using ChunkRowsBase::ChunkRowsBase;

  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal())
      return;
    const int64_t least = chunks == 0 ? kWorth * kChunkBytes : 0;
    llvm::SetVector<Operation *> anchors;
    for (Operation &op : llvm::reverse(function.getBody().front()))
      if (RowRegion::canBeAnchor(&op) && bytesOf(op.getResult(0)) >= least)
        anchors.insert(&op);
    // The last comes first: behind it the forward turns. Nothing smaller is worth it.
    int64_t largest = 0;
    while (!anchors.empty()) {
      Operation *anchor = anchors.front();
      anchors.remove(anchor);
      const int64_t bytes = bytesOf(anchor->getResult(0));
      if (bytes < largest)
        continue;
      std::optional<RowRegion> region = RowRegion::of(anchor);
      if (!region)
        continue;
      const Chunks cut = chunks == 0 ? chooseChunks(*region) : Chunks(region->getAxes(), chunks);
      if (cut.size() == 1) {
        region->undo();
        continue;
      }
      largest = bytes;
      for (const auto &[op, member] : region->getMembers())
        anchors.remove(op);
      explain(*region, cut);
      if (failed(Chunking(*region, cut).run()))
        return signalPassFailure();
    }
    if (chunks > 1 && largest == 0)
      function.emitWarning("nothing is computed in ")
          << chunks.getValue()
          << " chunks: there are no wide values whose rows are made, used and differentiated by "
             "themselves (those of a loss over a split vocabulary are not); set "
             "deepshard.logit_chunks to \"auto\", or split no vocabulary";
  }
};

} // namespace
} // namespace deepshard
