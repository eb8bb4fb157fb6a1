//===- UpdateSharding.cpp - sharding rules of the gradient norm and the loss scale
//-------------===//

#include "dialects/graph/Graph.h"

using namespace mlir;

namespace deepshard::graph {

ShardingRule SumSquaresOp::getShardingRule() {
  return ShardingRuleBuilder(*this)
      .factor({in(0, 0)}, FactorKind::Reduction, ReductionKind::Sum)
      .build();
}

ShardingRule UpdateLossScaleOp::getShardingRule() {
  return ShardingRuleBuilder(*this).factor({in(0, 0), out(0, 0)}, FactorKind::Replicate).build();
}

} // namespace deepshard::graph
