//===- UpdateSharding.cpp - sharding rules of the gradient norm -------------------------------===//

#include "dialects/graph/Graph.h"

using namespace mlir;

namespace deepshard::graph {

ShardingRule SumSquaresOp::getShardingRule() {
  return ShardingRuleBuilder(*this)
      .factor({in(0, 0)}, FactorKind::Reduction, ReductionKind::Sum)
      .build();
}

} // namespace deepshard::graph
