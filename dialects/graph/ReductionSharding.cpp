//===- ReductionSharding.cpp - sharding rules of reductions -----------------------------------===//

#include "dialects/graph/Graph.h"

using namespace mlir;

namespace deepshard::graph {

template <typename Op> static ShardingRule reduction(Op op, ReductionKind kind) {
  ShardingRuleBuilder builder(op);
  unsigned to = 0;
  for (unsigned dim = 0; dim < op.getX().getType().getRank(); ++dim) {
    bool reduced = llvm::is_contained(op.getDims(), static_cast<int64_t>(dim));
    if (reduced)
      builder.factor({in(0, dim)}, FactorKind::Reduction, kind);
    else
      builder.factor({in(0, dim), out(0, to)});
    if (!reduced || op.getKeepDims())
      ++to;
  }
  return builder.partial({0}, {}, kind).build();
}

ShardingRule ReduceSumOp::getShardingRule() { return reduction(*this, ReductionKind::Sum); }
ShardingRule ReduceMaxOp::getShardingRule() { return reduction(*this, ReductionKind::Max); }
ShardingRule ReduceMinOp::getShardingRule() { return reduction(*this, ReductionKind::Min); }

} // namespace deepshard::graph
