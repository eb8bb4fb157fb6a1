//===- ReductionSharding.cpp - sharding rules of reductions -----------------------------------===//

#include "dialects/graph/PartitionBuilder.h"
#include "dialects/graph/PrimitiveBuilder.h"

using namespace mlir;

namespace deepshard::graph {

/// One factor per dimension of x; the reduced ones are of `kind`.
template <typename Op>
static ShardingRuleBuilder reduction(Op op, FactorKind kind, std::optional<ReductionKind> leaves) {
  ShardingRuleBuilder builder(op);
  unsigned to = 0;
  for (unsigned dim = 0; dim < op.getX().getType().getRank(); ++dim) {
    bool reduced = llvm::is_contained(op.getDims(), static_cast<int64_t>(dim));
    if (reduced)
      builder.factor({in(0, dim)}, kind, leaves);
    else
      builder.factor({in(0, dim), out(0, to)});
    if (!reduced || op.getKeepDims())
      ++to;
  }
  return builder;
}

template <typename Op> static ShardingRule linearReduction(Op op, ReductionKind kind) {
  return reduction(op, FactorKind::Reduction, kind).partial({0}, {}, kind).build();
}

ShardingRule ReduceSumOp::getShardingRule() { return linearReduction(*this, ReductionKind::Sum); }
ShardingRule ReduceMaxOp::getShardingRule() { return linearReduction(*this, ReductionKind::Max); }
ShardingRule ReduceMinOp::getShardingRule() { return linearReduction(*this, ReductionKind::Min); }

/// What is split is reduced inside the op: see `partition`.
ShardingRule ReduceLogSumExpOp::getShardingRule() {
  ShardingRuleBuilder builder = reduction(*this, FactorKind::Special, std::nullopt);
  for (int64_t dim : getDims())
    builder.inner(in(0, static_cast<unsigned>(dim)), 0, kLogSumExpReductions);
  return builder.build();
}

Value allReduceLogSumExp(PartitionBuilder &partition, Value own, unsigned factor) {
  PrimitiveBuilder b(partition.builder(), partition.location());
  Value max = partition.allReduce(own, ReductionKind::Max, factor);
  Value sum = partition.allReduce(b.exp(b.sub(own, max)), ReductionKind::Sum, factor);
  return b.add(max, b.log(sum));
}

/// Every rank takes its own part's, and these are combined.
FailureOr<SmallVector<Value>> ReduceLogSumExpOp::partition(PartitionBuilder &partition) {
  Value result = partition.clone(*this)->getResult(0);
  for (int64_t dim : getDims())
    for (unsigned factor : partition.rule().operands[0][static_cast<unsigned>(dim)])
      if (partition.isSplit(factor))
        result = allReduceLogSumExp(partition, result, factor);
  return SmallVector<Value>{result};
}

} // namespace deepshard::graph
