//===- AttentionMatch.cpp - attention written out by hand -------------------------------------===//

#include "passes/simplify/AttentionMatch.h"

#include "passes/simplify/Mask.h"
#include "passes/simplify/Match.h"

using namespace mlir;

namespace deepshard {
namespace {

/// How many ops may lie between two products; models have at most about eight.
constexpr int kMaxChain = 16;

/// Whether a reshape keeps queries and keys, the last two dimensions.
bool keepsLastTwo(graph::ReshapeOp reshape) {
  ArrayRef<int64_t> from = shapeOf(reshape.getX()), to = shapeOf(reshape);
  return from.size() >= 2 && to.size() >= 2 && from.take_back(2) == to.take_back(2);
}

unsigned bitsOf(Value value) { return tensorType(value).getElementType().getIntOrFloatBitWidth(); }

/// Converts to a float that is not narrower.
bool widens(graph::ConvertOp convert) {
  return isa<FloatType>(tensorType(convert.getX()).getElementType()) &&
         isa<FloatType>(convert.getType().getElementType()) &&
         bitsOf(convert.getX()) <= bitsOf(convert);
}

/// From the probabilities as the product reads them back to the softmax.
LogicalResult matchProbabilities(HandWrittenAttention &match) {
  graph::MatmulOp output = match.output;
  int64_t rank = tensorType(output.getLhs()).getRank();
  if (rank < 2 || output.getLhsContract() != ArrayRef<int64_t>{rank - 1} ||
      output.getLhsBatch() != ArrayRef<int64_t>(countTo(rank - 2)))
    return failure();
  Value value = output.getLhs();
  for (int step = 0; step < kMaxChain && value.hasOneUse(); ++step) {
    Operation *op = value.getDefiningOp();
    if (auto softmax = dyn_cast_or_null<graph::SoftmaxOp>(op)) {
      match.softmax = softmax;
      return success(softmax.getDim() + 1 == static_cast<uint64_t>(tensorType(value).getRank()));
    }
    if (auto dropout = dyn_cast_or_null<graph::DropoutOp>(op);
        dropout && !match.dropout && !dropout.getOffsets()) {
      match.dropout = dropout;
    } else if (auto reshape = dyn_cast_or_null<graph::ReshapeOp>(op)) {
      if (!keepsLastTwo(reshape))
        return failure();
    } else if (!isa_and_nonnull<graph::ConvertOp>(op) ||
               !isa<FloatType>(tensorType(op->getOperand(0)).getElementType())) {
      return failure();
    }
    value = op->getOperand(0);
  }
  return failure();
}

/// `value` = a q k^T, masked and scaled in some order. Tries both operands of a sum as the scores.
LogicalResult matchScores(Value value, double factorAfter, HandWrittenAttention &match,
                          int budget) {
  Operation *op = value.getDefiningOp();
  if (!op || !value.hasOneUse() || budget == 0)
    return failure();
  if (auto scores = dyn_cast<graph::MatmulOp>(op)) {
    match.scores = scores;
    match.factor = factorAfter;
    return success();
  }
  if (std::optional<Scaled> scaled = matchScaled(value))
    return matchScores(scaled->value, factorAfter * scaled->factor, match, budget - 1);
  if (auto convert = dyn_cast<graph::ConvertOp>(op); convert && widens(convert))
    return matchScores(convert.getX(), factorAfter, match, budget - 1);
  if (auto reshape = dyn_cast<graph::ReshapeOp>(op); reshape && keepsLastTwo(reshape))
    return matchScores(reshape.getX(), factorAfter, match, budget - 1);

  MaskUse mask{{}, std::nullopt, false, SmallVector<int64_t>(shapeOf(value)), factorAfter};
  auto masked = [&](Value scores, Value maskValue) {
    if (scores.getType() != value.getType())
      return failure();
    mask.value = maskValue;
    match.masks.push_back(mask);
    if (succeeded(matchScores(scores, factorAfter, match, budget - 1)))
      return success();
    match.masks.pop_back();
    return failure();
  };
  if (auto select = dyn_cast<graph::SelectOp>(op)) {
    mask.fill = splatOf(select.getOnFalse());
    if (mask.fill)
      return masked(select.getOnTrue(), select.getPredicate());
    mask.fill = splatOf(select.getOnTrue());
    mask.namesHidden = true;
    return mask.fill ? masked(select.getOnFalse(), select.getPredicate()) : failure();
  }
  if (isa<graph::AddOp>(op)) {
    if (succeeded(masked(op->getOperand(0), op->getOperand(1))))
      return success();
    return masked(op->getOperand(1), op->getOperand(0));
  }
  return failure();
}

/// Each side of the scores has one dimension of its own and one that is contracted.
bool isVectorProduct(graph::MatmulOp scores) {
  auto lone = [&](Value side, ArrayRef<int64_t> batch) {
    return tensorType(side).getRank() == static_cast<int64_t>(batch.size()) + 2;
  };
  return scores.getLhsContract().size() == 1 && lone(scores.getLhs(), scores.getLhsBatch()) &&
         lone(scores.getRhs(), scores.getRhsBatch());
}

} // namespace

std::optional<HandWrittenAttention> matchAttention(graph::MatmulOp output) {
  HandWrittenAttention match;
  match.output = output;
  if (failed(matchProbabilities(match)) ||
      failed(matchScores(match.softmax.getX(), 1, match, kMaxChain)) ||
      !isVectorProduct(match.scores))
    return std::nullopt;
  Type type = tensorType(output).getElementType();
  if (tensorType(match.scores).getElementType() != type)
    return std::nullopt;
  // Values: one dimension of their own, beside batch and keys.
  if (tensorType(output.getRhs()).getRank() != tensorType(output.getLhs()).getRank())
    return std::nullopt;
  return match;
}

} // namespace deepshard
