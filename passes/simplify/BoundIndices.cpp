//===- BoundIndices.cpp - what numbers an input may hold --------------------------------------===//

#include "passes/simplify/Passes.h"

#include "dialects/graph/Graph.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Matchers.h"

#include <algorithm>

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_BOUNDINDICESPASS
#include "passes/simplify/Passes.h.inc"

namespace {

/// 0 .. bound - 1, and `ignored`.
struct IndexRange {
  int64_t bound = 0;
  std::optional<int64_t> ignored;

  bool contains(int64_t number) const {
    return (number >= 0 && number < bound) || number == ignored;
  }
};

/// c of select(x != c, x, other) if `use` is its second x.
static std::optional<int64_t> ignoredBySelect(OpOperand &use) {
  auto select = cast<graph::SelectOp>(use.getOwner());
  auto compare = select.getPredicate().getDefiningOp<graph::CompareOp>();
  DenseIntElementsAttr constant;
  if (use.get() != select.getOnTrue() || !compare || compare.getDirection() != "ne" ||
      compare.getLhs() != use.get() || !matchPattern(compare.getRhs(), m_Constant(&constant)) ||
      !constant.isSplat())
    return std::nullopt;
  return constant.getSplatValue<APInt>().getSExtValue();
}

static bool widensIntegers(graph::ConvertOp op) {
  auto from = dyn_cast<IntegerType>(op.getX().getType().getElementType());
  auto to = dyn_cast<IntegerType>(op.getY().getType().getElementType());
  return from && to && from.getWidth() > 1 && to.getWidth() >= from.getWidth();
}

/// Appends what each use takes; `ignored` is replaced on the way.
static void collect(Value indices, std::optional<int64_t> ignored,
                    SmallVectorImpl<IndexRange> &ranges) {
  for (OpOperand &use : indices.getUses()) {
    Operation *user = use.getOwner();
    if (auto embedding = dyn_cast<graph::EmbeddingOp>(user)) {
      if (use.get() == embedding.getIds())
        ranges.push_back({embedding.getTable().getType().getDimSize(0), ignored});
    } else if (auto gather = dyn_cast<graph::GatherOp>(user)) {
      if (use.get() == gather.getIndex())
        ranges.push_back({gather.getX().getType().getDimSize(gather.getDim()), ignored});
    } else if (auto loss = dyn_cast<graph::CrossEntropyOp>(user)) {
      ranges.push_back({loss.getLogits().getType().getShape().back(),
                        ignored ? *ignored : static_cast<int64_t>(loss.getIgnoreIndex())});
    } else if (isa<graph::SelectOp>(user)) {
      if (std::optional<int64_t> replaced = ignoredBySelect(use); replaced && !ignored)
        collect(user->getResult(0), replaced, ranges);
    } else if (auto convert = dyn_cast<graph::ConvertOp>(user)) {
      if (widensIntegers(convert))
        collect(convert, ignored, ranges);
    } else if (isa<graph::ReshapeOp, graph::TransposeOp, graph::BroadcastOp, graph::SliceOp>(
                   user) ||
               (isa<graph::PadOp>(user) && use.getOperandNumber() == 0)) {
      collect(user->getResult(0), ignored, ranges);
    }
  }
}

/// Nothing if the numbers index nothing.
static std::optional<IndexRange> indexRangeOf(Value indices) {
  SmallVector<IndexRange> ranges;
  collect(indices, std::nullopt, ranges);
  if (ranges.empty())
    return std::nullopt;
  IndexRange result;
  result.bound = std::min_element(ranges.begin(), ranges.end(), [](auto &a, auto &b) {
                   return a.bound < b.bound;
                 })->bound;
  for (const IndexRange &range : ranges)
    if (range.ignored && !result.contains(*range.ignored) &&
        llvm::all_of(ranges, [&](auto &other) { return other.contains(*range.ignored); }))
      result.ignored = range.ignored;
  return result;
}

struct BoundIndicesPass : impl::BoundIndicesPassBase<BoundIndicesPass> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    Builder builder(&getContext());
    for (BlockArgument argument : function.getArguments()) {
      unsigned index = argument.getArgNumber();
      std::optional<IndexRange> range;
      if (function.getArgAttr(index, graph::kInputAttr))
        range = indexRangeOf(argument);
      if (!range)
        continue;
      function.setArgAttr(index, graph::kIndexBoundAttr, builder.getI64IntegerAttr(range->bound));
      if (range->ignored)
        function.setArgAttr(index, graph::kIgnoredIndexAttr,
                            builder.getI64IntegerAttr(*range->ignored));
    }
  }
};

} // namespace
} // namespace deepshard
