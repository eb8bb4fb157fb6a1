//===- RandomSharding.cpp - sharding rule and partition of random ops -------------------------===//

#include "dialects/graph/Graph.h"
#include "dialects/graph/PartitionBuilder.h"

using namespace mlir;

namespace deepshard::graph {

/// The mask depends on the place in the whole tensor. Given the mask, the op only scales: ranks
/// that hold summands of the same elements drop the same ones.
ShardingRule DropoutOp::getShardingRule() {
  ShardingRuleBuilder builder(*this);
  for (unsigned dim = 0; dim < getX().getType().getRank(); ++dim)
    builder.factor({in(0, dim), out(0, dim)}, FactorKind::Special);
  return builder.partial({0}).build();
}

} // namespace deepshard::graph
