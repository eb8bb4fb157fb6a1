//===- ContractionSharding.cpp - sharding rules and partitions of sums of products ------------===//

#include "dialects/graph/Graph.h"
#include "dialects/graph/PartitionBuilder.h"

using namespace mlir;

namespace deepshard::graph {

/// Dimensions of an operand of rank `rank` that are neither batch nor contracted, ascending.
static SmallVector<unsigned> freeDimensions(int64_t rank, ArrayRef<int64_t> batch,
                                            ArrayRef<int64_t> contract) {
  SmallVector<unsigned> free;
  for (int64_t dim = 0; dim < rank; ++dim)
    if (!llvm::is_contained(batch, dim) && !llvm::is_contained(contract, dim))
      free.push_back(static_cast<unsigned>(dim));
  return free;
}

ShardingRule MatmulOp::getShardingRule() {
  ShardingRuleBuilder builder(*this);
  unsigned to = 0;
  auto dim = [](int64_t value) { return static_cast<unsigned>(value); };
  for (auto [lhs, rhs] : llvm::zip_equal(getLhsBatch(), getRhsBatch()))
    builder.factor({in(0, dim(lhs)), in(1, dim(rhs)), out(0, to++)});
  for (unsigned lhs : freeDimensions(getLhs().getType().getRank(), getLhsBatch(), getLhsContract()))
    builder.factor({in(0, lhs), out(0, to++)});
  for (unsigned rhs : freeDimensions(getRhs().getType().getRank(), getRhsBatch(), getRhsContract()))
    builder.factor({in(1, rhs), out(0, to++)});
  for (auto [lhs, rhs] : llvm::zip_equal(getLhsContract(), getRhsContract()))
    builder.factor({in(0, dim(lhs)), in(1, dim(rhs))}, FactorKind::Reduction, ReductionKind::Sum);
  return builder.partial({0}).partial({1}).build();
}

/// The bias is no factor of the contraction and yet must be added once: see `partition`.
ShardingRule LinearOp::getShardingRule() {
  constexpr unsigned kX = 0, kWeight = 1, kBias = 2;
  ShardingRuleBuilder builder(*this);
  auto rows = static_cast<unsigned>(getX().getType().getRank() - 1);
  auto columns = static_cast<unsigned>(getWeight().getType().getRank() - 1);
  for (unsigned dim = 0; dim < rows; ++dim)
    builder.factor({in(kX, dim), out(0, dim)});
  for (unsigned dim = 0; dim < columns; ++dim) {
    SmallVector<RulePlace> places = {in(kWeight, getTransposeWeight() ? dim : dim + 1),
                                     out(0, rows + dim)};
    if (getBias())
      places.push_back(in(kBias, dim));
    builder.factor(places);
  }
  builder.factor({in(kX, rows), in(kWeight, getTransposeWeight() ? columns : 0)},
                 FactorKind::Reduction, ReductionKind::Sum);
  if (getBias())
    return builder.partial({kX, kBias}).partial({kWeight, kBias}).once(kBias).build();
  return builder.partial({kX}).partial({kWeight}).build();
}

/// With a split contraction every rank has a summand of x W: the bias is left to whoever adds them.
FailureOr<SmallVector<Value>> LinearOp::partition(PartitionBuilder &partition) {
  Operation *local = partition.clone(*this);
  const DimensionFactors &contracted = partition.rule().operands[0].back();
  if (getBias() && !contracted.empty() && partition.isSplit(contracted[0])) {
    partition.addAfterReduction(0, cast<LinearOp>(local).getBias());
    cast<LinearOp>(local).getBiasMutable().clear();
  }
  return SmallVector<Value>(local->getResults());
}

} // namespace deepshard::graph
