//===- JoinPads.cpp - sums of padded tensors become one tensor --------------------------------===//
//
// The gradient of a tensor that is read in slices is a sum of the slices' gradients, each padded
// with zeros to the whole. If the slices tile the tensor along one dimension, they need not be
// added to each other. O(ops).
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

/// A padded tensor, as it is or as it is widened behind the pad.
struct PadTerm {
  graph::PadOp pad;
  graph::ConvertOp convert; // may be null

  static std::optional<PadTerm> of(Value value) {
    auto convert = value.getDefiningOp<graph::ConvertOp>();
    if (convert && isExact(convert) && convert.getX().hasOneUse())
      value = convert.getX();
    else
      convert = nullptr;
    if (auto pad = value.getDefiningOp<graph::PadOp>())
      return PadTerm{pad, convert};
    return std::nullopt;
  }

  /// Zeros stay zeros.
  static bool isExact(graph::ConvertOp convert) {
    Type from = convert.getX().getType().getElementType(),
         to = convert.getY().getType().getElementType();
    return isa<FloatType>(from) && isa<FloatType>(to) && graph::accumulationType(from) == to;
  }

  /// What is padded, in the type of the sum.
  Value tensor(OpBuilder &builder) {
    if (!convert)
      return pad.getX();
    auto type = cast<RankedTensorType>(pad.getX().getType());
    auto made =
        graph::ConvertOp::create(builder, convert.getLoc(),
                                 type.clone(convert.getY().getType().getElementType()), pad.getX());
    made->setDiscardableAttrs(convert->getDiscardableAttrDictionary());
    return made;
  }
};

/// What a value is the sum of.
struct Terms {
  SmallVector<PadTerm> pads;
  SmallVector<Value> others;              // the sum's type
  llvm::SmallPtrSet<Operation *, 8> sums; // the root and those below it, read nowhere else

  void collect(Value value, bool isRoot) {
    auto add = value.getDefiningOp<graph::AddOp>();
    bool isOwn = isRoot || value.hasOneUse();
    if (isOwn && add && add.getLhs().getType() == add.getType() &&
        add.getRhs().getType() == add.getType()) {
      sums.insert(add);
      collect(add.getLhs(), false);
      collect(add.getRhs(), false);
    } else if (std::optional<PadTerm> term = PadTerm::of(value); term && isOwn) {
      pads.push_back(*term);
    } else {
      others.push_back(value);
    }
  }
};

/// Whether the pads tile a tensor along `dim`; puts them in order.
bool tiles(SmallVectorImpl<PadTerm> &pads, int64_t dim) {
  llvm::sort(pads,
             [&](PadTerm &a, PadTerm &b) { return a.pad.getLow()[dim] < b.pad.getLow()[dim]; });
  int64_t end = 0;
  for (auto &[pad, convert] : pads) {
    if (paddedDim(pad) != dim || pad.getLow()[dim] != end)
      return false;
    end += cast<RankedTensorType>(pad.getX().getType()).getDimSize(dim);
  }
  return pads.back().pad.getHigh()[dim] == 0;
}

struct JoinPads : impl::JoinPadsPassBase<JoinPads> {
  void runOnOperation() override {
    // From the last op on, so that the whole of a sum is met before its parts.
    SmallVector<graph::AddOp> sums(getOperation().getOps<graph::AddOp>());
    llvm::DenseSet<Operation *> seen;
    for (graph::AddOp sum : llvm::reverse(sums)) {
      if (seen.contains(sum))
        continue;
      Terms terms;
      terms.collect(sum, /*isRoot=*/true);
      seen.insert(terms.sums.begin(), terms.sums.end());
      if (!terms.pads.empty())
        join(sum, terms);
    }
    eraseUnread(sums);
  }

private:
  static void join(graph::AddOp sum, Terms &terms) {
    SmallVector<PadTerm> &pads = terms.pads;
    std::optional<int64_t> dim = paddedDim(pads.front().pad);
    if (!dim || !tiles(pads, *dim))
      return;
    OpBuilder builder(sum);
    SmallVector<Value> tensors =
        llvm::map_to_vector(pads, [&](PadTerm &term) { return term.tensor(builder); });
    Value joined = graph::ConcatOp::create(builder, sum.getLoc(), tensors, *dim);
    auto mark = [&](Value value) {
      if (Attribute phase = sum->getAttr(graph::kPhaseAttr))
        value.getDefiningOp()->setAttr(graph::kPhaseAttr, phase);
    };
    mark(joined);
    Value rest;
    for (Value other : terms.others) {
      rest = rest ? graph::AddOp::create(builder, sum.getLoc(), rest, other) : other;
      if (rest != other)
        mark(rest);
    }
    if (rest) {
      joined = graph::AddOp::create(builder, sum.getLoc(), rest, joined);
      mark(joined);
    }
    sum.replaceAllUsesWith(joined);
  }

  static void eraseUnread(Value value) {
    Operation *op = value.getDefiningOp();
    if (!isa_and_nonnull<graph::PadOp, graph::ConvertOp>(op) || !op->use_empty())
      return;
    Value operand = op->getOperand(0);
    op->erase();
    eraseUnread(operand);
  }

  /// Erases sums that nobody reads any more, last first, and the pads that they read.
  static void eraseUnread(ArrayRef<graph::AddOp> sums) {
    for (graph::AddOp sum : llvm::reverse(sums)) {
      if (!sum.use_empty())
        continue;
      SmallVector<Value> operands(sum->getOperands());
      sum.erase();
      for (Value operand : operands)
        eraseUnread(operand);
    }
  }
};

} // namespace
} // namespace deepshard
