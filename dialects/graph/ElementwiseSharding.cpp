//===- ElementwiseSharding.cpp - sharding rules of elementwise ops ----------------------------===//
//
// All are pointwise. What is said here is through which operands parts of a value may pass: where
// the op is linear (sums) or picks one of its operands (maxima and minima).
//
//===------------------------------------------------------------------------------------------===//

#include "dialects/graph/Graph.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace deepshard::graph {

static ShardingRuleBuilder pointwise(Operation *op) {
  ShardingRuleBuilder builder(op);
  builder.pointwise();
  return builder;
}

ShardingRule NegOp::getShardingRule() { return pointwise(*this).partial({0}).build(); }
ShardingRule AddOp::getShardingRule() { return pointwise(*this).partial({0, 1}).build(); }
ShardingRule SubOp::getShardingRule() { return pointwise(*this).partial({0, 1}).build(); }

/// Products of integers are linear too: both wrap around.
ShardingRule MulOp::getShardingRule() { return pointwise(*this).partial({0}).partial({1}).build(); }

/// Integer division truncates each summand.
ShardingRule DivOp::getShardingRule() {
  ShardingRuleBuilder builder = pointwise(*this);
  if (isa<FloatType>(cast<RankedTensorType>(getType()).getElementType()))
    builder.partial({0});
  return builder.build();
}

/// The parts of one operand or of both: the other is then compared with each part.
static ShardingRule extremum(Operation *op, ReductionKind kind) {
  return pointwise(op)
      .partial({0}, {}, kind)
      .partial({1}, {}, kind)
      .partial({0, 1}, {}, kind)
      .build();
}

ShardingRule MaximumOp::getShardingRule() { return extremum(*this, ReductionKind::Max); }
ShardingRule MinimumOp::getShardingRule() { return extremum(*this, ReductionKind::Min); }

/// Linear up to rounding between types that add alike; truncation to an integer and comparison with
/// 0 are not.
ShardingRule ConvertOp::getShardingRule() {
  ShardingRuleBuilder builder = pointwise(*this);
  Type from = cast<RankedTensorType>(getX().getType()).getElementType();
  Type to = cast<RankedTensorType>(getY().getType()).getElementType();
  bool truncates = isa<FloatType>(from) && isa<IntegerType>(to);
  if (!truncates && !from.isInteger(1) && !to.isInteger(1))
    builder.partial({0});
  return builder.build();
}

/// Both branches, or one of them beside zeros.
ShardingRule SelectOp::getShardingRule() {
  ShardingRuleBuilder builder = pointwise(*this);
  builder.partial({1, 2}, {}, kReductionKinds);
  auto isZero = [](Value value) {
    return matchPattern(value, m_AnyZeroFloat()) || matchPattern(value, m_Zero());
  };
  if (isZero(getOnFalse()))
    builder.partial({1});
  if (isZero(getOnTrue()))
    builder.partial({2});
  return builder.build();
}

ShardingRule GeluGradOp::getShardingRule() { return pointwise(*this).partial({0}).build(); }

} // namespace deepshard::graph
