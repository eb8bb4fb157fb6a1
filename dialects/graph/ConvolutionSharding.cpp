//===- ConvolutionSharding.cpp - sharding rules and partitions of convolutions ----------------===//
//
// The channels of x are groups x inputs, those of y groups x outputs; a weight is (groups x
// outputs) x inputs x kernel. All three ops multiply two of x, weight and y and give the third, so
// that they have the same factors: what the result lacks is summed over. Spatial dimensions stay
// whole: neighbours would have to exchange the elements that their windows share.
//
//===------------------------------------------------------------------------------------------===//

#include "dialects/graph/Graph.h"
#include "dialects/graph/PartitionBuilder.h"

using namespace mlir;

namespace deepshard::graph {

namespace {

/// Which operand or result of an op is x, weight or y (or has the place of it).
using Role = RulePlace (*)(unsigned dim);

template <unsigned index> RulePlace operand(unsigned dim) { return in(index, dim); }
RulePlace result(unsigned dim) { return out(0, dim); }

ShardingRule convolutionRule(Operation *op, int64_t groups, Role x, Role weight, Role y) {
  ShardingRuleBuilder builder(op);
  auto factor = [&](int64_t size, ArrayRef<RulePlace> places) {
    if (llvm::any_of(places, [](RulePlace place) { return place.isResult; }))
      builder.factor(size, places);
    else
      builder.factor(size, places, FactorKind::Reduction, ReductionKind::Sum);
  };
  factor(builder.sizeOf(x(0)), {x(0), y(0)});
  factor(groups, {x(1), weight(0), y(1)});
  factor(builder.sizeOf(y(1)) / groups, {weight(0), y(1)});
  factor(builder.sizeOf(x(1)) / groups, {x(1), weight(1)});
  return builder.partial({0}).partial({1}).build();
}

/// A rank has the groups of its part of the channels.
template <typename Op>
FailureOr<SmallVector<Value>> partitionConvolution(Op op, PartitionBuilder &partition) {
  auto local = cast<Op>(partition.clone(op));
  if (op.getGroups() > 1) {
    // The major factor of the channels of operand 0, which is x or dy.
    const DimensionFactors &channels = partition.rule().operands[0][1];
    local.setGroups(partition.localSize(channels.front()));
  }
  return SmallVector<Value>(local->getResults());
}

} // namespace

ShardingRule ConvolutionOp::getShardingRule() {
  return convolutionRule(*this, getGroups(), operand<0>, operand<1>, result);
}

ShardingRule ConvolutionInputGradOp::getShardingRule() {
  return convolutionRule(*this, getGroups(), result, operand<1>, operand<0>);
}

ShardingRule ConvolutionWeightGradOp::getShardingRule() {
  return convolutionRule(*this, getGroups(), operand<1>, result, operand<0>);
}

FailureOr<SmallVector<Value>> ConvolutionOp::partition(PartitionBuilder &partition) {
  return partitionConvolution(*this, partition);
}

FailureOr<SmallVector<Value>> ConvolutionInputGradOp::partition(PartitionBuilder &partition) {
  return partitionConvolution(*this, partition);
}

FailureOr<SmallVector<Value>> ConvolutionWeightGradOp::partition(PartitionBuilder &partition) {
  return partitionConvolution(*this, partition);
}

} // namespace deepshard::graph
