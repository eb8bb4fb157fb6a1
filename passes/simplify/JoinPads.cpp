//===- JoinPads.cpp - sums of padded tensors become one tensor --------------------------------===//
//
// The gradient of a tensor that is read in slices is a sum of the slices' gradients, each padded
// with zeros to the whole. If the slices tile the tensor along one dimension, nothing needs to be
// added. O(ops).
//
//===------------------------------------------------------------------------------------------===//

#include "passes/simplify/Passes.h"

#include "dialects/graph/Graph.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_JOINPADSPASS
#include "passes/simplify/Passes.h.inc"

namespace {

/// The dimension along which `pad` puts zeros, if it is one and the zeros lie outside.
std::optional<int64_t> paddedDim(graph::PadOp pad) {
  DenseElementsAttr value;
  if (!matchPattern(pad.getValue(), m_Constant(&value)) || !value.isSplat() ||
      llvm::any_of(pad.getInterior(), [](int64_t n) { return n != 0; }))
    return std::nullopt;
  bool isZero =
      matchPattern(pad.getValue(), m_AnyZeroFloat()) || matchPattern(pad.getValue(), m_Zero());
  std::optional<int64_t> found;
  for (auto [dim, low, high] : llvm::enumerate(pad.getLow(), pad.getHigh()))
    if (low != 0 || high != 0) {
      if (found)
        return std::nullopt;
      found = dim;
    }
  return isZero ? found : std::nullopt;
}

/// The padded tensors that `value` is the sum of; false if it is a sum of anything else. What is
/// added up must not be read elsewhere.
bool collect(Value value, bool isRoot, SmallVectorImpl<graph::PadOp> &pads) {
  if (!isRoot && !value.hasOneUse())
    return false;
  if (auto pad = value.getDefiningOp<graph::PadOp>()) {
    pads.push_back(pad);
    return true;
  }
  auto add = value.getDefiningOp<graph::AddOp>();
  return add && add.getLhs().getType() == add.getType() &&
         add.getRhs().getType() == add.getType() && collect(add.getLhs(), false, pads) &&
         collect(add.getRhs(), false, pads);
}

/// Whether the pads tile a tensor along `dim`; puts them in order.
bool tiles(SmallVectorImpl<graph::PadOp> &pads, int64_t dim) {
  llvm::sort(pads,
             [&](graph::PadOp a, graph::PadOp b) { return a.getLow()[dim] < b.getLow()[dim]; });
  int64_t end = 0;
  for (graph::PadOp pad : pads) {
    if (paddedDim(pad) != dim || pad.getLow()[dim] != end)
      return false;
    end += cast<RankedTensorType>(pad.getX().getType()).getDimSize(dim);
  }
  return pads.back().getHigh()[dim] == 0;
}

struct JoinPads : impl::JoinPadsPassBase<JoinPads> {
  void runOnOperation() override {
    // From the last op on, so that the whole of a sum is met before its parts.
    SmallVector<graph::AddOp> sums(getOperation().getOps<graph::AddOp>());
    for (graph::AddOp sum : llvm::reverse(sums))
      if (!sum.use_empty())
        join(sum);
    eraseUnread(sums);
  }

private:
  static void join(graph::AddOp sum) {
    SmallVector<graph::PadOp> pads;
    if (!collect(sum, /*isRoot=*/true, pads))
      return;
    std::optional<int64_t> dim = paddedDim(pads.front());
    if (!dim || !tiles(pads, *dim))
      return;
    OpBuilder builder(sum);
    SmallVector<Value> tensors =
        llvm::map_to_vector(pads, [](graph::PadOp pad) -> Value { return pad.getX(); });
    auto joined = graph::ConcatOp::create(builder, sum.getLoc(), tensors, *dim);
    if (Attribute phase = sum->getAttr(graph::kPhaseAttr))
      joined->setAttr(graph::kPhaseAttr, phase);
    sum.replaceAllUsesWith(joined.getResult());
  }

  /// Erases sums that nobody reads any more, last first, and the pads that they read.
  static void eraseUnread(ArrayRef<graph::AddOp> sums) {
    for (graph::AddOp sum : llvm::reverse(sums)) {
      if (!sum.use_empty())
        continue;
      SmallVector<Value> operands(sum->getOperands());
      sum.erase();
      for (Value operand : operands)
        if (auto pad = operand.getDefiningOp<graph::PadOp>(); pad && pad->use_empty())
          pad.erase();
    }
  }
};

} // namespace
} // namespace deepshard
