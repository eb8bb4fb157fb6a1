//===- LinearPatterns.cpp - contractions take transposes, weights make linears ----------------===//

#include "passes/simplify/Patterns.h"

#include "dialects/graph/Graph.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "passes/simplify/Match.h"

using namespace mlir;

namespace deepshard {
namespace {

/// One side of a matmul read through the transpose that feeds it. The dimensions that are neither
/// batch nor contracted must stay in their order, because it is theirs in the result.
struct Side {
  Value value;
  SmallVector<int64_t> batch, contract;
};

std::optional<Side> throughTranspose(Value operand, ArrayRef<int64_t> batch,
                                     ArrayRef<int64_t> contract) {
  auto transpose = operand.getDefiningOp<graph::TransposeOp>();
  if (!transpose)
    return std::nullopt;
  auto inBase = [&](ArrayRef<int64_t> dims) {
    return llvm::map_to_vector(
        dims, [&](int64_t dimension) { return transpose.getPermutation()[dimension]; });
  };
  SmallVector<int64_t> free =
      inBase(freeDimensions(tensorType(operand).getRank(), batch, contract));
  if (!llvm::is_sorted(free))
    return std::nullopt;
  return Side{transpose.getX(), inBase(batch), inBase(contract)};
}

/// matmul(transpose(x), y) -> matmul(x, y) with other dimension lists; likewise for y.
LogicalResult transposeIntoMatmul(graph::MatmulOp op, PatternRewriter &rewriter) {
  auto lhs = throughTranspose(op.getLhs(), op.getLhsBatch(), op.getLhsContract());
  auto rhs = throughTranspose(op.getRhs(), op.getRhsBatch(), op.getRhsContract());
  if (!lhs && !rhs)
    return failure();
  if (!lhs)
    lhs = Side{op.getLhs(), SmallVector<int64_t>(op.getLhsBatch()),
               SmallVector<int64_t>(op.getLhsContract())};
  if (!rhs)
    rhs = Side{op.getRhs(), SmallVector<int64_t>(op.getRhsBatch()),
               SmallVector<int64_t>(op.getRhsContract())};
  rewriter.replaceOpWithNewOp<graph::MatmulOp>(op, lhs->value, rhs->value, lhs->batch, rhs->batch,
                                               lhs->contract, rhs->contract);
  return success();
}

/// Whether `value` is a tensor of the model: an argument of the program marked as parameter or
/// buffer.
bool isWeight(Value value) {
  auto argument = dyn_cast<BlockArgument>(value);
  auto function =
      argument ? dyn_cast<FunctionOpInterface>(argument.getOwner()->getParentOp()) : nullptr;
  return function && (function.getArgAttr(argument.getArgNumber(), graph::kParameterAttr) ||
                      function.getArgAttr(argument.getArgNumber(), graph::kBufferAttr));
}

/// Whether the product contracts the last dimension of its left operand with a matrix on the right:
/// a linear.
bool isRowsTimesMatrix(graph::MatmulOp op) {
  int64_t last = tensorType(op.getLhs()).getRank() - 1;
  return op.getLhsBatch().empty() && tensorType(op.getRhs()).getRank() == 2 &&
         op.getLhsContract() == ArrayRef<int64_t>{last} && last >= 1;
}

/// matmul(x, w) -> linear(x, w) for a weight w of the model.
LogicalResult weightToLinear(graph::MatmulOp op, PatternRewriter &rewriter) {
  if (!isRowsTimesMatrix(op) || !isWeight(op.getRhs()))
    return failure();
  rewriter.replaceOpWithNewOp<graph::LinearOp>(op, op.getLhs(), op.getRhs(), Value(),
                                               op.getRhsContract().front() == 1);
  return success();
}

/// `value` if it is a vector, or the vector that it is with dimensions of size 1 in front.
Value vectorOf(Value value, int64_t size) {
  if (auto reshape = value.getDefiningOp<graph::ReshapeOp>();
      reshape && tensorType(reshape.getX()).getRank() == 1)
    value = reshape.getX();
  auto type = tensorType(value);
  return type.getRank() == 1 && type.getDimSize(0) == size ? value : Value();
}

/// linear(x, w) + b and matmul(x, w) + b -> linear(x, w, b), if nothing else reads the product.
LogicalResult biasIntoLinear(graph::AddOp op, PatternRewriter &rewriter) {
  for (auto [product, other] :
       {std::pair{op.getLhs(), op.getRhs()}, std::pair{op.getRhs(), op.getLhs()}}) {
    Operation *source = product.getDefiningOp();
    if (!source || !product.hasOneUse() || product.getType() != op.getType())
      continue;
    // The addend ends in the last dimension; a reshape that moves it elsewhere has another last
    // dimension.
    if (shapeOf(other).empty() || shapeOf(other).back() != shapeOf(product).back())
      continue;
    Value bias = vectorOf(other, shapeOf(product).back());
    if (!bias || tensorType(bias).getNumElements() != tensorType(other).getNumElements())
      continue;
    if (auto linear = dyn_cast<graph::LinearOp>(source); linear && !linear.getBias()) {
      rewriter.replaceOpWithNewOp<graph::LinearOp>(op, linear.getX(), linear.getWeight(), bias,
                                                   linear.getTransposeWeight());
      return success();
    }
    if (auto matmul = dyn_cast<graph::MatmulOp>(source); matmul && isRowsTimesMatrix(matmul)) {
      rewriter.replaceOpWithNewOp<graph::LinearOp>(op, matmul.getLhs(), matmul.getRhs(), bias,
                                                   matmul.getRhsContract().front() == 1);
      return success();
    }
  }
  return failure();
}

/// linear(x, transpose(w)) -> linear(x, w) with the other `transpose_weight`.
LogicalResult transposeIntoLinear(graph::LinearOp op, PatternRewriter &rewriter) {
  auto transpose = op.getWeight().getDefiningOp<graph::TransposeOp>();
  if (!transpose || transpose.getPermutation() != ArrayRef<int64_t>{1, 0})
    return failure();
  rewriter.replaceOpWithNewOp<graph::LinearOp>(op, op.getX(), transpose.getX(), op.getBias(),
                                               !op.getTransposeWeight());
  return success();
}

/// The operand of `value` if that is a flattening of leading dimensions: to fewer dimensions, the
/// last one untouched.
Value flattenedFrom(Value value) {
  auto reshape = value.getDefiningOp<graph::ReshapeOp>();
  if (!reshape)
    return {};
  ArrayRef<int64_t> from = shapeOf(reshape.getX()), to = shapeOf(value);
  return !to.empty() && from.size() > to.size() && from.back() == to.back() ? reshape.getX()
                                                                            : Value();
}

/// linear(flatten(x)) -> flatten(linear(x)).
LogicalResult flatteningBehindLinear(graph::LinearOp op, PatternRewriter &rewriter) {
  Value x = flattenedFrom(op.getX());
  if (!x)
    return failure();
  auto linear = graph::LinearOp::create(rewriter, op.getLoc(), x, op.getWeight(), op.getBias(),
                                        op.getTransposeWeight());
  rewriter.replaceOp(op, reshaped(rewriter, op.getLoc(), linear, shapeOf(op)));
  return success();
}

/// dropout(flatten(x)) -> flatten(dropout(x)): the same elements have the same index.
LogicalResult flatteningBehindDropout(graph::DropoutOp op, PatternRewriter &rewriter) {
  Value x = flattenedFrom(op.getX());
  if (!x || op.getOffsets())
    return failure();
  auto dropout = graph::DropoutOp::create(rewriter, op.getLoc(), x, op.getCounter(), op.getPAttr(),
                                          op.getIdAttr());
  rewriter.replaceOp(op, reshaped(rewriter, op.getLoc(), dropout, shapeOf(op)));
  return success();
}

/// cross_entropy(flatten(x), target) -> cross_entropy(x, unflatten(target)): each dimension of the
/// rows can be split.
LogicalResult flatteningBehindLoss(graph::CrossEntropyOp op, PatternRewriter &rewriter) {
  Value x = flattenedFrom(op.getLogits());
  if (!x)
    return failure();
  Value target = reshaped(rewriter, op.getLoc(), op.getTarget(), shapeOf(x).drop_back());
  auto loss =
      graph::CrossEntropyOp::create(rewriter, op.getLoc(), x, target, op.getIgnoreIndexAttr());
  Value lse = reshaped(rewriter, op.getLoc(), loss.getLse(), op.getLse().getType().getShape());
  rewriter.replaceOp(op, {loss.getLossSum(), loss.getCount(), lse});
  return success();
}

/// f(flatten(x)) -> flatten(f(x)) for elementwise f of one operand, and f(flatten(x), flatten(y))
/// or f(flatten(x), c) for x and y of one shape and c a scalar or a vector over the last dimension.
struct FlatteningBehindElementwise : OpTraitRewritePattern<graph::Elementwise> {
  explicit FlatteningBehindElementwise(MLIRContext *context) : OpTraitRewritePattern(context) {}

  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    std::optional<ArrayRef<int64_t>> shape;
    SmallVector<Value> operands;
    for (Value operand : op->getOperands()) {
      Value x = flattenedFrom(operand);
      if (x && shapeOf(operand) == shapeOf(op->getResult(0))) {
        if (shape && *shape != shapeOf(x))
          return failure();
        shape = shapeOf(x);
        operands.push_back(x);
      } else if (tensorType(operand).getRank() <= 1 &&
                 operand.getType() != op->getResult(0).getType()) {
        operands.push_back(operand);
      } else {
        return failure();
      }
    }
    if (!shape)
      return failure();
    IRMapping mapping;
    mapping.map(op->getOperands(), operands);
    Operation *moved = rewriter.clone(*op, mapping);
    moved->getResult(0).setType(tensorType(op->getResult(0)).clone(*shape));
    rewriter.replaceOp(
        op, reshaped(rewriter, op->getLoc(), moved->getResult(0), shapeOf(op->getResult(0))));
    return success();
  }
};

} // namespace

void addLinearPatterns(RewritePatternSet &patterns) {
  patterns.add(transposeIntoMatmul);
  patterns.add(weightToLinear);
  patterns.add(biasIntoLinear);
  patterns.add(transposeIntoLinear);
  patterns.add(flatteningBehindLinear);
  patterns.add(flatteningBehindDropout);
  patterns.add(flatteningBehindLoss);
  patterns.add<FlatteningBehindElementwise>(patterns.getContext());
}

} // namespace deepshard
