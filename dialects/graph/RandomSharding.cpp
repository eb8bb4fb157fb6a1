//===- RandomSharding.cpp - sharding rule and partition of random ops -------------------------===//

#include "dialects/graph/Graph.h"
#include "dialects/graph/PartitionBuilder.h"

using namespace mlir;

namespace deepshard::graph {

/// The mask depends on the place in the whole tensor. Given the mask, the op only scales: ranks
/// that hold summands of the same elements drop the same ones. A part is not split again.
ShardingRule DropoutOp::getShardingRule() {
  FactorKind kind = getOffsets() ? FactorKind::Replicate : FactorKind::Special;
  ShardingRuleBuilder builder(*this);
  for (unsigned dim = 0; dim < getX().getType().getRank(); ++dim)
    builder.factor({in(0, dim), out(0, dim)}, kind);
  return builder.partial({0}).build();
}

FailureOr<SmallVector<Value>> DropoutOp::partition(PartitionBuilder &partition) {
  const TensorFactors &factors = partition.rule().operands[0];
  Value offsets = partition.offsets(factors, partition.localType(getType(), factors).getShape());
  auto local = cast<DropoutOp>(partition.clone(*this));
  if (offsets) {
    local.getOffsetsMutable().assign(offsets);
    local.setGlobalShape(getType().getShape());
  }
  return SmallVector<Value>{local};
}

} // namespace deepshard::graph
