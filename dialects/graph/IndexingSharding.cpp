//===- IndexingSharding.cpp - sharding rules and partitions of indexing ops -------------------===//

#include "dialects/graph/Graph.h"
#include "dialects/graph/PartitionBuilder.h"

using namespace mlir;

namespace deepshard::graph {

/// An id is a row of one rank: the others have zeros, and the sum is the row. A part of a table is
/// not split again.
ShardingRule EmbeddingOp::getShardingRule() {
  constexpr unsigned kTable = 0, kIds = 1;
  ShardingRuleBuilder builder(*this);
  auto places = static_cast<unsigned>(getIds().getType().getRank());
  for (unsigned dim = 0; dim < places; ++dim)
    builder.factor({in(kIds, dim), out(0, dim)});
  for (unsigned dim = 1; dim < getTable().getType().getRank(); ++dim)
    builder.factor({in(kTable, dim), out(0, places + dim - 1)});
  if (!getOffset())
    builder.factor({in(kTable, 0)}, FactorKind::Special, ReductionKind::Sum);
  return builder.partial({kTable}).build();
}

/// The first row of a rank's part of the table, whose dimension 0 has the factors `rows`; null: the
/// rank has the whole table.
static Value firstRow(PartitionBuilder &partition, const DimensionFactors &rows) {
  return rows.empty() ? nullptr : partition.offset(rows[0], partition.localSize(rows[0]));
}

FailureOr<SmallVector<Value>> EmbeddingOp::partition(PartitionBuilder &partition) {
  Value offset = firstRow(partition, partition.rule().operands[0][0]);
  auto local = cast<EmbeddingOp>(partition.clone(*this));
  if (offset) {
    local.getOffsetMutable().assign(offset);
    local.setGlobalRows(static_cast<uint64_t>(getTable().getType().getDimSize(0)));
  }
  return SmallVector<Value>{local};
}

ShardingRule EmbeddingGradOp::getShardingRule() {
  constexpr unsigned kDy = 0, kIds = 1;
  ShardingRuleBuilder builder(*this);
  auto places = static_cast<unsigned>(getIds().getType().getRank());
  for (unsigned dim = 0; dim < places; ++dim)
    builder.factor({in(kDy, dim), in(kIds, dim)}, FactorKind::Reduction, ReductionKind::Sum);
  for (unsigned dim = 1; dim < getResult().getType().getRank(); ++dim)
    builder.factor({in(kDy, places + dim - 1), out(0, dim)});
  if (!getOffset())
    builder.factor({out(0, 0)}, FactorKind::Special);
  return builder.partial({kDy}).build();
}

FailureOr<SmallVector<Value>> EmbeddingGradOp::partition(PartitionBuilder &partition) {
  Value offset = firstRow(partition, partition.rule().results[0][0]);
  auto local = cast<EmbeddingGradOp>(partition.clone(*this));
  if (offset) {
    local.getOffsetMutable().assign(offset);
    local.setRows(static_cast<uint64_t>(local.getType().getDimSize(0)));
  }
  return SmallVector<Value>{local};
}

/// Every index may name any element of `dim`. Where the index is smaller than x, its positions are
/// those of the first elements: both stay whole.
ShardingRule GatherOp::getShardingRule() {
  constexpr unsigned kX = 0, kIndex = 1;
  ShardingRuleBuilder builder(*this);
  for (unsigned dim = 0; dim < getX().getType().getRank(); ++dim) {
    if (dim == getDim())
      builder.factor({in(kIndex, dim), out(0, dim)});
    else if (builder.sizeOf(in(kX, dim)) == builder.sizeOf(in(kIndex, dim)))
      builder.factor({in(kX, dim), in(kIndex, dim), out(0, dim)});
    else
      builder.factor({in(kIndex, dim), out(0, dim)}, FactorKind::Replicate);
  }
  return builder.partial({kX}, {}, kReductionKinds).build();
}

ShardingRule ScatterAddOp::getShardingRule() {
  constexpr unsigned kUpdates = 0, kIndex = 1;
  ShardingRuleBuilder builder(*this);
  for (unsigned dim = 0; dim < getResult().getType().getRank(); ++dim) {
    if (dim == getDim())
      builder.factor({in(kUpdates, dim), in(kIndex, dim)}, FactorKind::Reduction,
                     ReductionKind::Sum);
    else if (builder.sizeOf(out(0, dim)) == builder.sizeOf(in(kIndex, dim)))
      builder.factor({in(kUpdates, dim), in(kIndex, dim), out(0, dim)});
    else
      builder.factor({in(kUpdates, dim), in(kIndex, dim)}, FactorKind::Replicate);
  }
  return builder.partial({kUpdates}).build();
}

} // namespace deepshard::graph
