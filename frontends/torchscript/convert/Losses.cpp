//===- Losses.cpp - cross entropy and other losses --------------------------------------------===//

#include "frontends/torchscript/convert/AtenOp.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace deepshard;
using namespace deepshard::torchscript;

namespace {

/// PyTorch's numbers for `reduction`.
enum Reduction : int64_t { kNone = 0, kMean = 1, kSum = 2 };

LogicalResult reduce(AtenOp &op, Value losses) {
  int64_t reduction = op.integer("reduction", kMean);
  if (reduction == kNone)
    return op.set(losses);
  auto dims = llvm::to_vector(llvm::seq<int64_t>(0, AtenOp::rankOf(losses)));
  Value total = op.b.sum(losses, dims, /*keep=*/false);
  double count = graph::PrimitiveBuilder::typeOf(losses).getNumElements();
  return op.set(reduction == kSum ? total : op.b.div(total, count));
}

/// Scores as rows x classes: the classes are dimension 1, or the only one.
Value rowsByClass(AtenOp &op, Value scores) {
  int64_t rank = AtenOp::rankOf(scores);
  if (rank == 1)
    return op.b.reshape(scores, {1, AtenOp::shapeOf(scores)[0]});
  auto permutation = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  std::rotate(permutation.begin() + 1, permutation.begin() + 2, permutation.end());
  Value moved = op.transpose(scores, permutation);
  int64_t classes = AtenOp::shapeOf(moved).back();
  return op.b.reshape(moved,
                      {graph::PrimitiveBuilder::typeOf(moved).getNumElements() / classes, classes});
}

/// -logProbabilities[target] per row, 0 where the target is ignored; then reduced.
LogicalResult negativeLogLikelihood(AtenOp &op, Value logProbabilities, Value target) {
  int64_t ignored = op.integer("ignore_index", -100);
  int64_t rows = AtenOp::shapeOf(logProbabilities)[0];
  Type index = graph::PrimitiveBuilder::elementTypeOf(target);
  Value counts = op.b.compare("ne", target, op.scalar(ignored, index));
  Value safe = op.b.select(counts, target, op.scalar(int64_t(0), index));
  Value chosen = op.b.gather(logProbabilities, op.b.reshape(safe, {rows, 1}), 1);
  Value losses =
      op.b.select(counts, op.b.neg(op.b.reshape(chosen, {rows})), op.scalar(0.0, op.elementType()));
  int64_t reduction = op.integer("reduction", kMean);
  if (reduction == kNone)
    return op.set(op.b.reshape(losses, op.resultType().getShape()));
  Value total = op.b.sum(losses, {0}, /*keep=*/false);
  if (reduction == kSum)
    return op.set(total);
  return op.set(
      op.b.div(total, op.b.sum(op.convert(counts, op.elementType()), {0}, /*keep=*/false)));
}

LogicalResult checkTarget(AtenOp &op) {
  if (op.has("weight"))
    return op.unsupported("a weight per class");
  if (AtenOp::isFloat(graph::PrimitiveBuilder::elementTypeOf(op.tensor("target"))))
    return op.unsupported("a target of probabilities instead of classes");
  return success();
}

Value flatTarget(AtenOp &op) {
  Value target = op.tensor("target");
  return op.b.reshape(target, {graph::PrimitiveBuilder::typeOf(target).getNumElements()});
}

LogicalResult crossEntropy(AtenOp &op) {
  if (failed(checkTarget(op)))
    return failure();
  if (op.number("label_smoothing") != 0)
    return op.unsupported("label smoothing");
  Value logits = rowsByClass(op, op.tensor("self")), target = flatTarget(op);
  int64_t reduction = op.integer("reduction", kMean);
  if (reduction == kNone) {
    Value shifted = op.b.sub(logits, op.b.max(logits, {1}));
    Value logProbabilities = op.b.sub(shifted, op.b.log(op.b.sum(op.b.exp(shifted), {1})));
    return negativeLogLikelihood(op, logProbabilities, target);
  }
  auto loss =
      graph::CrossEntropyOp::create(op.builder, op.location, logits, target,
                                    op.builder.getI64IntegerAttr(op.integer("ignore_index", -100)));
  // Sum and count stay apart up to this division, so that both can be reduced over ranks first.
  return op.set(reduction == kSum ? loss.getLossSum()
                                  : op.b.div(loss.getLossSum(), loss.getCount()));
}

LogicalResult nllLoss(AtenOp &op) {
  if (failed(checkTarget(op)))
    return failure();
  return negativeLogLikelihood(op, rowsByClass(op, op.tensor("self")), flatTarget(op));
}

Value difference(AtenOp &op) {
  Type type = op.elementType();
  return op.b.sub(op.tensorOrScalar("self", type), op.tensorOrScalar("target", type));
}

LogicalResult mseLoss(AtenOp &op) {
  Value delta = difference(op);
  return reduce(op, op.b.mul(delta, delta));
}

LogicalResult l1Loss(AtenOp &op) { return reduce(op, op.abs(difference(op))); }

/// max(z, 0) - z t + log(1 + e^-|z|): no overflow.
LogicalResult binaryCrossEntropyWithLogits(AtenOp &op) {
  if (op.has("pos_weight"))
    return op.unsupported("pos_weight");
  Type type = op.elementType();
  Value z = op.tensorOrScalar("self", type), target = op.tensorOrScalar("target", type);
  Value tail = op.b.log(op.b.add(op.b.exp(op.b.neg(op.abs(z))), 1.0));
  Value losses =
      op.b.add(op.b.sub(op.maximum(z, op.b.scalarLike(z, 0)), op.b.mul(z, target)), tail);
  return reduce(op,
                op.has("weight") ? op.b.mul(losses, op.tensorOrScalar("weight", type)) : losses);
}

} // namespace

void torchscript::addLosses(ConverterTable &table) {
  const std::pair<const char *, Converter> converters[] = {
      {"cross_entropy_loss", crossEntropy},
      {"nll_loss_nd", nllLoss},
      {"nll_loss", nllLoss},
      {"nll_loss2d", nllLoss},
      {"mse_loss", mseLoss},
      {"l1_loss", l1Loss},
      {"binary_cross_entropy_with_logits", binaryCrossEntropyWithLogits}};
  for (auto [name, converter] : converters)
    table["aten::" + std::string(name)] = converter;
}
