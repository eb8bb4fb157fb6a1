//===- NormalizationSharding.cpp - sharding rules of softmax, layer norm and the loss ---------===//

#include "dialects/graph/PartitionBuilder.h"
#include "dialects/graph/PrimitiveBuilder.h"

using namespace mlir;

namespace deepshard::graph {

//===----------------------------------------------------------------------===//
// Softmax
//===----------------------------------------------------------------------===//

/// Pointwise but for dimension `dim`.
static ShardingRuleBuilder pointwiseBut(Operation *op, unsigned dim) {
  ShardingRuleBuilder builder(op);
  for (unsigned i = 0; i < cast<RankedTensorType>(op->getResult(0).getType()).getRank(); ++i) {
    SmallVector<RulePlace> places = {out(0, i)};
    for (unsigned operand = 0; operand < op->getNumOperands(); ++operand)
      places.push_back(in(operand, i));
    builder.factor(places, i == dim ? FactorKind::Replicate : FactorKind::PassThrough);
  }
  return builder;
}

ShardingRule SoftmaxOp::getShardingRule() {
  return pointwiseBut(*this, static_cast<unsigned>(getDim())).build();
}

ShardingRule SoftmaxGradOp::getShardingRule() {
  return pointwiseBut(*this, static_cast<unsigned>(getDim())).partial({0}).build();
}

//===----------------------------------------------------------------------===//
// Layer norm
//===----------------------------------------------------------------------===//

ShardingRule LayerNormOp::getShardingRule() {
  constexpr unsigned kX = 0, kWeight = 1, kBias = 2;
  ShardingRuleBuilder builder(*this);
  auto rank = static_cast<unsigned>(getX().getType().getRank());
  unsigned rows = rank - static_cast<unsigned>(getWeight().getType().getRank());
  for (unsigned dim = 0; dim < rows; ++dim)
    builder.factor({in(kX, dim), out(0, dim), out(1, dim), out(2, dim)});
  for (unsigned dim = rows; dim < rank; ++dim)
    builder.factor({in(kX, dim), in(kWeight, dim - rows), in(kBias, dim - rows), out(0, dim)},
                   FactorKind::Replicate);
  return builder.build();
}

/// Every row adds to dweight and dbias, which lack the rows.
ShardingRule LayerNormGradOp::getShardingRule() {
  constexpr unsigned kDy = 0, kX = 1, kWeight = 2, kMean = 3, kRstd = 4;
  ShardingRuleBuilder builder(*this);
  auto rank = static_cast<unsigned>(getX().getType().getRank());
  unsigned rows = rank - static_cast<unsigned>(getWeight().getType().getRank());
  for (unsigned dim = 0; dim < rows; ++dim)
    builder.factor({in(kDy, dim), in(kX, dim), in(kMean, dim), in(kRstd, dim), out(0, dim)},
                   FactorKind::Reduction, ReductionKind::Sum);
  for (unsigned dim = rows; dim < rank; ++dim)
    builder.factor({in(kDy, dim), in(kX, dim), in(kWeight, dim - rows), out(0, dim),
                    out(1, dim - rows), out(2, dim - rows)},
                   FactorKind::Replicate);
  return builder.partial({kDy}).build();
}

//===----------------------------------------------------------------------===//
// Cross entropy
//===----------------------------------------------------------------------===//

/// Rows are summed into loss_sum and count. A split vocabulary is reduced inside the op: see
/// `partition`.
ShardingRule CrossEntropyOp::getShardingRule() {
  constexpr unsigned kLogits = 0, kTarget = 1, kLse = 2;
  auto columns = static_cast<unsigned>(getLogits().getType().getRank() - 1);
  ShardingRuleBuilder builder(*this);
  for (unsigned dim = 0; dim < columns; ++dim)
    builder.factor({in(kLogits, dim), in(kTarget, dim), out(kLse, dim)}, FactorKind::Reduction,
                   ReductionKind::Sum);
  // And the logit of the target.
  return builder.factor({in(kLogits, columns)}, FactorKind::Special)
      .inner(in(kLogits, columns), kLse, kLogSumExpReductions + 1)
      .build();
}

ShardingRule CrossEntropyGradOp::getShardingRule() {
  constexpr unsigned kLogits = 0, kTarget = 1, kLse = 2, kDlossSum = 3;
  auto columns = static_cast<unsigned>(getLogits().getType().getRank() - 1);
  ShardingRuleBuilder builder(*this);
  for (unsigned dim = 0; dim < columns; ++dim)
    builder.factor({in(kLogits, dim), in(kTarget, dim), in(kLse, dim), out(0, dim)});
  return builder.factor({in(kLogits, columns), out(0, columns)}, FactorKind::Special)
      .partial({kDlossSum})
      .build();
}

/// A vocabulary stays whole: `fuse-cross-entropy` leaves split ones as they are.
ShardingRule CrossEntropyWithGradOp::getShardingRule() {
  constexpr unsigned kLogits = 0, kTarget = 1;
  auto columns = static_cast<unsigned>(getLogits().getType().getRank() - 1);
  ShardingRuleBuilder builder(*this);
  for (unsigned dim = 0; dim < columns; ++dim)
    builder.factor({in(kLogits, dim), in(kTarget, dim), out(0, dim)}, FactorKind::Reduction,
                   ReductionKind::Sum);
  return builder.factor({in(kLogits, columns), out(0, columns)}, FactorKind::Replicate).build();
}

namespace {

/// The targets of rows whose logits are split over the vocabulary.
struct SplitTargets {
  Value counts;    // the target is not ignore_index
  Value here;      // it counts and is an own column
  Value elsewhere; // it counts and is a column of another rank
  Value column;    // the target less the first own column

  /// `vocabulary` is the factor of the columns.
  SplitTargets(PrimitiveBuilder &b, PartitionBuilder &partition, Value target, uint64_t ignoreIndex,
               unsigned vocabulary)
      : counts(b.compare(
            "ne", target,
            b.scalarLike(target, static_cast<double>(static_cast<int64_t>(ignoreIndex))))) {
    auto columns = static_cast<double>(partition.localSize(vocabulary));
    auto allColumns = static_cast<double>(partition.rule().factors[vocabulary].size);
    Value first = b.convert(partition.offset(vocabulary, partition.localSize(vocabulary)),
                            b.elementTypeOf(target));
    column = b.sub(target, first);
    auto isWithin = [&](Value index, double size) {
      Value low = b.compare("ge", index, b.scalarLike(index, 0));
      return b.both(low, b.compare("lt", index, b.scalarLike(index, size)));
    };
    here = b.both(counts, isWithin(column, columns));
    Value exists = b.both(counts, isWithin(target, allColumns));
    elsewhere = b.both(exists, b.negation(here));
  }
};

} // namespace

/// The logits stay where they are: per row, the logarithm of the sum of exponentials and the logit
/// of the target are reduced over the ranks. A target that is no column of any rank gives NaN, as
/// without a split.
FailureOr<SmallVector<Value>> CrossEntropyOp::partition(PartitionBuilder &partition) {
  const DimensionFactors &columns = partition.rule().operands[0].back();
  if (columns.empty() || !partition.isSplit(columns[0]))
    return partitionByCloning(*this, partition);
  unsigned vocabulary = columns[0];
  PrimitiveBuilder b(partition.builder(), partition.location());
  Type type = accumulationType(b.elementTypeOf(partition.operand(0)));
  Value logits = b.convert(partition.operand(0), type), target = partition.operand(1);
  int64_t columnDim = b.typeOf(logits).getRank() - 1;
  SmallVector<int64_t> rows(b.typeOf(target).getShape()), oneColumn(rows), rowDims;
  oneColumn.push_back(1);
  llvm::append_range(rowDims, llvm::seq<int64_t>(0, columnDim));
  Value lse =
      allReduceLogSumExp(partition, b.logSumExp(logits, columnDim, /*keep=*/false), vocabulary);

  SplitTargets targets(b, partition, target, getIgnoreIndex(), vocabulary);
  Value unread = b.either(targets.elsewhere, b.negation(targets.counts));
  Value column = b.select(unread, b.scalarLike(target, 0), targets.column);
  Value own = b.reshape(b.gather(logits, b.reshape(column, oneColumn), columnDim), rows);
  Value chosen = partition.allReduce(b.select(targets.elsewhere, b.scalarLike(own, 0), own),
                                     ReductionKind::Sum, vocabulary);
  Value loss = b.select(targets.counts, b.sub(lse, chosen), b.scalarLike(lse, 0));
  return SmallVector<Value>{b.sum(loss, rowDims, /*keep=*/false),
                            b.sum(b.convert(targets.counts, type), rowDims, /*keep=*/false), lse};
}

/// The same op on the own columns. Its targets count from the first of them; rows that do not count
/// have target -1, rows whose target is not among them one that is no column.
FailureOr<SmallVector<Value>> CrossEntropyGradOp::partition(PartitionBuilder &partition) {
  const DimensionFactors &columns = partition.rule().operands[0].back();
  if (columns.empty() || !partition.isSplit(columns[0]))
    return partitionByCloning(*this, partition);
  PrimitiveBuilder b(partition.builder(), partition.location());
  Value target = partition.operand(1);
  SplitTargets targets(b, partition, target, getIgnoreIndex(), columns[0]);
  auto beyond = static_cast<double>(partition.localSize(columns[0]));
  Value column = b.select(targets.here, targets.column, b.scalarLike(target, beyond));
  column = b.select(targets.counts, column, b.scalarLike(target, -1));
  auto local = cast<CrossEntropyGradOp>(partition.clone(*this));
  local.getTargetMutable().assign(column);
  local.setIgnoreIndex(static_cast<uint64_t>(-1));
  return SmallVector<Value>{local};
}

} // namespace deepshard::graph
