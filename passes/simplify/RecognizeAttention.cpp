//===- RecognizeAttention.cpp - hand-written attention and constant masks ---------------------===//
//
// Every product is tried as probabilities times values, reading backwards over a bounded chain
// (AttentionMatch.h). A match becomes graph.attention at the place of that product; masks that
// constants explain become flags (Mask.h).
//
//===------------------------------------------------------------------------------------------===//

#include "passes/simplify/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/PatternMatch.h"
#include "passes/simplify/AttentionMatch.h"
#include "passes/simplify/Mask.h"
#include "passes/simplify/Match.h"
#include "llvm/ADT/DenseSet.h"

#include <cmath>
#include <numeric>

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_RECOGNIZEATTENTIONPASS
#include "passes/simplify/Passes.h.inc"

namespace {

/// b, h, s, t of an attention.
struct Sizes {
  int64_t b, h, s, t;
};

int64_t product(ArrayRef<int64_t> sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
}

/// Batch and heads as a mask of four dimensions tells them, else as the batch dimensions of the
/// scores do.
Sizes sizesOf(HandWrittenAttention &match) {
  ArrayRef<int64_t> shape = shapeOf(match.scores);
  Sizes sizes{1, 1, shape[shape.size() - 2], shape.back()};
  for (MaskUse &mask : match.masks)
    if (mask.scoreShape.size() == 4) {
      sizes.b = mask.scoreShape[0];
      sizes.h = mask.scoreShape[1];
      return sizes;
    }
  ArrayRef<int64_t> batch = shape.drop_back(2);
  sizes.h = batch.size() >= 2 ? batch.back() : 1;
  sizes.b = product(batch) / sizes.h;
  return sizes;
}

/// 1 / sqrt(d) if `scale` is that after rounding to `elementType`, f32 at the most: an importer
/// that rounded it to f32 must not show in a program that is planned in f64.
double exactScale(double scale, int64_t d, Type elementType) {
  unsigned bits = APFloat::semanticsPrecision(cast<FloatType>(elementType).getFloatSemantics());
  double exact = 1 / std::sqrt(static_cast<double>(d));
  bool isRounded =
      std::abs(scale - exact) <= exact * std::ldexp(1.0, 1 - static_cast<int>(std::min(bits, 24u)));
  return isRounded ? exact : scale;
}

/// `value` without a factor, which goes into `factor`. Looks through views that nothing else reads.
Value withoutFactor(OpBuilder &builder, Value value, double &factor, int budget = 8) {
  if (auto scaled = matchScaled(value)) {
    factor *= scaled->factor;
    return withoutFactor(builder, scaled->value, factor, budget - 1);
  }
  Operation *op = value.getDefiningOp();
  if (budget == 0 || !isa_and_nonnull<graph::ReshapeOp, graph::TransposeOp>(op) ||
      !value.hasOneUse())
    return value;
  Value x = withoutFactor(builder, op->getOperand(0), factor, budget - 1);
  if (x == op->getOperand(0))
    return value;
  if (auto transpose = dyn_cast<graph::TransposeOp>(op))
    return graph::TransposeOp::create(builder, op->getLoc(), x, transpose.getPermutation());
  return reshaped(builder, op->getLoc(), x, shapeOf(value));
}

/// The operand of a matmul with its dimensions in the order batch, `row`, `column`.
Value ordered(OpBuilder &builder, Location location, Value value, ArrayRef<int64_t> batch,
              int64_t row, int64_t column) {
  SmallVector<int64_t> order(batch);
  order.push_back(row);
  order.push_back(column);
  return materialize(builder, location, viewThroughTransposes(value, order));
}

/// Of b x h x t x d keys or values that repeat each of g heads h / g times: the b x g x t x d ones;
/// else null.
Value distinctHeads(OpBuilder &builder, Value value) {
  ArrayRef<int64_t> shape = shapeOf(value);
  auto reshape = value.getDefiningOp<graph::ReshapeOp>();
  auto broadcast = (reshape ? reshape.getX() : value).getDefiningOp<graph::BroadcastOp>();
  if (!broadcast)
    return {};
  // b x g x r x t x d, reshaped, or b x h x t x d from one head.
  ArrayRef<int64_t> repeated = shapeOf(broadcast);
  int64_t repeatedDim = reshape ? 2 : 1;
  if (static_cast<int64_t>(repeated.size()) != 3 + repeatedDim || repeated[0] != shape[0] ||
      repeated.take_back(2) != shape.take_back(2))
    return {};
  for (auto [from, to] : llvm::zip(shapeOf(broadcast.getX()), broadcast.getDims()))
    if (from != (to == repeatedDim ? 1 : repeated[to]))
      return {};
  int64_t groups = shape[1] / repeated[repeatedDim];
  SmallVector<int64_t> distinct{shape[0], groups, shape[2], shape[3]};
  if (product(distinct) != tensorType(broadcast.getX()).getNumElements())
    return {};
  return reshaped(builder, broadcast.getLoc(), broadcast.getX(), distinct);
}

/// A mask over scores of `scoreShape` as one of rank 4; null if batch dimensions do not allow it.
Value alignedMask(OpBuilder &builder, Location location, Value mask, ArrayRef<int64_t> scoreShape) {
  SmallVector<int64_t> shape(std::max<int64_t>(scoreShape.size() - shapeOf(mask).size(), 0), 1);
  llvm::append_range(shape, shapeOf(mask));
  SmallVector<int64_t> aligned{1, 1, shape[shape.size() - 2], shape.back()};
  ArrayRef<int64_t> batch = ArrayRef<int64_t>(shape).drop_back(2);
  if (batch.size() == 1)
    aligned[0] = batch[0];
  else if (batch.size() == 2)
    std::copy(batch.begin(), batch.end(), aligned.begin());
  else if (product(batch) != 1)
    return {};
  return reshaped(builder, location, mask, aligned);
}

Value scalar(OpBuilder &builder, Location location, Type elementType, double number) {
  auto type = RankedTensorType::get({}, elementType);
  return graph::ConstantOp::create(
      builder, location, DenseElementsAttr::get(type, builder.getFloatAttr(elementType, number)));
}

/// The values that depend on a parameter of the model, so that a gradient may flow through them.
/// O(operands).
llvm::DenseSet<Value> dependsOnParameters(func::FuncOp function) {
  llvm::DenseSet<Value> active;
  for (BlockArgument argument : function.getArguments())
    if (function.getArgAttr(argument.getArgNumber(), graph::kParameterAttr))
      active.insert(argument);
  function.walk<WalkOrder::PreOrder>([&](Operation *op) {
    if (llvm::any_of(op->getOperands(), [&](Value operand) { return active.contains(operand); }))
      active.insert(op->result_begin(), op->result_end());
  });
  return active;
}

/// What is left of the masks of one attention after constants are read.
struct Masks {
  bool causal = false;
  MaskUse *kept = nullptr;
  MaskPattern pattern; // of `kept`
};

/// Nothing if the masks say what graph.attention cannot.
std::optional<Masks> readMasks(HandWrittenAttention &match, const Sizes &sizes,
                               MaskReader &reader) {
  Masks masks;
  Type softmaxType = tensorType(match.softmax).getElementType();
  Type type = tensorType(match.output).getElementType();
  for (MaskUse &mask : match.masks) {
    if (mask.fill && !hidesKey(*mask.fill, softmaxType))
      return std::nullopt;
    MaskPattern pattern = reader.read(mask.value, sizes.s, sizes.t, mask.namesHidden);
    bool hidesOnly = pattern.isKnown && pattern.everyQuerySeesAKey;
    // A factor applied to masked scores changes an addend, unless that hides keys before and after.
    if (mask.factorAfter != 1 && (!hidesOnly || mask.factorAfter <= 0))
      return std::nullopt;
    if (pattern.seesAll)
      continue;
    if (pattern.isCausal && hidesOnly) {
      masks.causal = true;
      continue;
    }
    if (masks.kept || (!mask.fill && tensorType(mask.value).getElementType() != type))
      return std::nullopt;
    masks.kept = &mask;
    masks.pattern = pattern;
  }
  return masks;
}

/// The operand `mask` for a mask that no flag replaces; null if its shape does not fit.
Value buildMask(OpBuilder &builder, Location location, const Masks &masks, Type elementType) {
  const MaskUse &mask = *masks.kept;
  Value value = alignedMask(builder, location, mask.value, mask.scoreShape);
  if (!value || !mask.fill)
    return value;
  bool hidesOnly = masks.pattern.isKnown && masks.pattern.everyQuerySeesAKey;
  if (hidesOnly || std::isinf(*mask.fill))
    return mask.namesHidden ? graph::NotOp::create(builder, location, value).getResult() : value;
  // Where a query may see no key, a finite number gives the mean of v: added to scores it is what
  // it was, because scores vanish beside it. A fill of a wider type may not exist in this one.
  double lowest =
      APFloat::getLargest(cast<FloatType>(elementType).getFloatSemantics(), true).convertToDouble();
  Value hidden = scalar(builder, location, elementType, std::max(*mask.fill, lowest));
  Value seen = scalar(builder, location, elementType, 0);
  return graph::SelectOp::create(builder, location, value, mask.namesHidden ? hidden : seen,
                                 mask.namesHidden ? seen : hidden);
}

struct RecognizeAttention : impl::RecognizeAttentionPassBase<RecognizeAttention> {
  void runOnOperation() override {
    eraseDeadOps(getOperation());
    SmallVector<graph::MatmulOp> products;
    getOperation().walk([&](graph::MatmulOp op) { products.push_back(op); });
    IRRewriter rewriter(&getContext());
    llvm::DenseSet<Value> active = dependsOnParameters(getOperation());
    MaskReader reader;
    for (graph::MatmulOp product : products) {
      std::optional<HandWrittenAttention> match = matchAttention(product);
      // Attention has no gradient for its mask, so a bias that is learned stays written out.
      if (match &&
          llvm::none_of(match->masks, [&](MaskUse &mask) { return active.contains(mask.value); }))
        rewrite(rewriter, *match, reader);
    }
    getOperation().walk([&](graph::AttentionOp op) {
      foldMask(op, reader);
      groupHeads(rewriter, op);
    });
    eraseDeadOps(getOperation());
  }

private:
  static void rewrite(IRRewriter &rewriter, HandWrittenAttention &match, MaskReader &reader) {
    Sizes sizes = sizesOf(match);
    std::optional<Masks> masks = readMasks(match, sizes, reader);
    if (!masks)
      return;
    graph::MatmulOp scores = match.scores, output = match.output;
    Location location = output.getLoc();
    Type elementType = tensorType(output).getElementType();
    rewriter.setInsertionPoint(output);
    Value mask;
    if (masks->kept && !(mask = buildMask(rewriter, location, *masks, elementType)))
      return;

    double factor = match.factor;
    Value q = withoutFactor(rewriter, scores.getLhs(), factor),
          k = withoutFactor(rewriter, scores.getRhs(), factor);
    auto freeOf = [](Value side, ArrayRef<int64_t> batch, ArrayRef<int64_t> contract) {
      return freeDimensions(tensorType(side).getRank(), batch, contract).front();
    };
    q = ordered(rewriter, location, q, scores.getLhsBatch(),
                freeOf(q, scores.getLhsBatch(), scores.getLhsContract()),
                scores.getLhsContract().front());
    k = ordered(rewriter, location, k, scores.getRhsBatch(),
                freeOf(k, scores.getRhsBatch(), scores.getRhsContract()),
                scores.getRhsContract().front());
    Value v = output.getRhs();
    v = ordered(rewriter, location, v, output.getRhsBatch(), output.getRhsContract().front(),
                freeOf(v, output.getRhsBatch(), output.getRhsContract()));
    int64_t d = shapeOf(q).back(), e = shapeOf(v).back();
    q = reshaped(rewriter, location, q, {sizes.b, sizes.h, sizes.s, d});
    k = reshaped(rewriter, location, k, {sizes.b, sizes.h, sizes.t, d});
    v = reshaped(rewriter, location, v, {sizes.b, sizes.h, sizes.t, e});
    Value distinctK = distinctHeads(rewriter, k), distinctV = distinctHeads(rewriter, v);
    if (distinctK && distinctV && shapeOf(distinctK)[1] == shapeOf(distinctV)[1]) {
      k = distinctK;
      v = distinctV;
    }

    graph::DropoutOp dropout = match.dropout;
    auto attention = graph::AttentionOp::create(
        rewriter, location, q, k, v, mask, dropout ? dropout.getCounter() : Value(),
        rewriter.getF64FloatAttr(exactScale(factor, d, elementType)),
        masks->causal ? rewriter.getUnitAttr() : UnitAttr(),
        dropout ? dropout.getPAttr() : rewriter.getF64FloatAttr(0),
        dropout ? dropout.getIdAttr() : rewriter.getI64IntegerAttr(0));
    rewriter.replaceOp(output, reshaped(rewriter, location, attention.getO(), shapeOf(output)));
  }

  /// Heads of keys and values that are repeated for the op are shared inside it.
  static void groupHeads(IRRewriter &rewriter, graph::AttentionOp op) {
    rewriter.setInsertionPoint(op);
    Value k = distinctHeads(rewriter, op.getK()), v = distinctHeads(rewriter, op.getV());
    if (!k || !v || shapeOf(k)[1] != shapeOf(v)[1])
      return;
    op.getKMutable().assign(k);
    op.getVMutable().assign(v);
  }

  /// Drops a constant mask that sees everything or is the causal triangle.
  static void foldMask(graph::AttentionOp op, MaskReader &reader) {
    if (!op.getMask())
      return;
    int64_t s = shapeOf(op.getQ())[2], t = shapeOf(op.getK())[2];
    MaskPattern pattern = reader.read(op.getMask(), s, t);
    // A query without a key gives 0 by an i1 mask and by the flag, but the mean of v by a finite
    // addend.
    bool isBool = tensorType(op.getMask()).getElementType().isInteger(1);
    bool isCausal = pattern.isCausal && (pattern.everyQuerySeesAKey || isBool);
    if (!pattern.seesAll && !isCausal)
      return;
    if (!pattern.seesAll)
      op.setCausal(true);
    op.getMaskMutable().clear();
  }
};

} // namespace
} // namespace deepshard
