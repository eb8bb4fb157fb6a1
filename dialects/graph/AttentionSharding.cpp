//===- AttentionSharding.cpp - sharding rules and partitions of attention ---------------------===//
//
// Names as in the op: b batch, h = g r heads (g key/value heads, r query heads each), s queries, t
// keys, d and e features. Batch rows and key/value heads are independent of each other; with one
// key/value head, so are the heads that share it. The scores need all of d, and the softmax all of
// t. With dropout the mask is a function of batch row and head: these factors are special.
//
//===------------------------------------------------------------------------------------------===//

#include "dialects/graph/Graph.h"
#include "dialects/graph/PartitionBuilder.h"

using namespace mlir;

namespace deepshard::graph {

namespace {

/// Operands and results by what their dimensions are.
struct AttentionPlaces {
  SmallVector<unsigned> perHead;      // operands b x h x s [x ...]
  SmallVector<unsigned> perGroup;     // operands b x g x t x ...
  SmallVector<unsigned> headResults;  // results b x h x s [x ...]
  SmallVector<unsigned> groupResults; // results b x g x t x ...

  SmallVector<RulePlace> heads(unsigned dim) const { return placesOf(perHead, headResults, dim); }
  SmallVector<RulePlace> groups(unsigned dim) const {
    return placesOf(perGroup, groupResults, dim);
  }
  SmallVector<RulePlace> all(unsigned dim) const {
    SmallVector<RulePlace> places = heads(dim);
    llvm::append_range(places, groups(dim));
    return places;
  }

private:
  static SmallVector<RulePlace> placesOf(ArrayRef<unsigned> operands, ArrayRef<unsigned> results,
                                         unsigned dim) {
    SmallVector<RulePlace> places;
    for (unsigned operand : operands)
      places.push_back(in(operand, dim));
    for (unsigned result : results)
      places.push_back(out(result, dim));
    return places;
  }
};

/// The factors b, g, r, s and t of either op; d and e differ.
template <typename Op>
void addScoreFactors(Op op, ShardingRuleBuilder &builder, const AttentionPlaces &places) {
  constexpr unsigned kBatch = 0, kHead = 1, kQuery = 2, kKey = 3;
  std::optional<unsigned> mask;
  if (op.getMask())
    mask = op.getMaskMutable().begin()->getOperandNumber();
  /// Adds the mask's dimension to the places if it is not broadcast.
  auto withMask = [&](SmallVector<RulePlace> to, unsigned dim, int64_t size) {
    if (mask && builder.sizeOf(in(*mask, dim)) == size)
      to.push_back(in(*mask, dim));
    return to;
  };
  ArrayRef<int64_t> q = op.getQ().getType().getShape(), k = op.getK().getType().getShape();
  int64_t heads = q[kHead], groups = k[kHead];
  bool drops = static_cast<bool>(op.getCounter());
  FactorKind independent = drops ? FactorKind::Special : FactorKind::PassThrough;

  builder.factor(withMask(places.all(kBatch), kBatch, q[kBatch]), independent);
  builder.factor(groups, withMask(places.all(kHead), kHead, heads), independent);
  bool adds = !places.groupResults.empty();
  FactorKind shared = drops  ? FactorKind::Special
                      : adds ? FactorKind::Reduction
                             : FactorKind::PassThrough;
  SmallVector<RulePlace> perHead = withMask(places.heads(kHead), kHead, heads);
  if (groups == 1)
    builder.factor(heads, perHead, shared, adds ? std::optional(ReductionKind::Sum) : std::nullopt);
  else
    builder.factor(heads / groups, perHead, FactorKind::Replicate);

  builder.factor(withMask(places.heads(kQuery), kQuery, q[kQuery]), FactorKind::Replicate);
  constexpr unsigned kKeyOfGroup = 2;
  SmallVector<RulePlace> keys = places.groups(kKeyOfGroup);
  builder.factor(withMask(keys, kKey, k[kKeyOfGroup]), FactorKind::Replicate);
}

} // namespace

/// o is linear in v, lse does not depend on it.
ShardingRule AttentionOp::getShardingRule() {
  constexpr unsigned kQ = 0, kK = 1, kV = 2, kO = 0, kLse = 1, kFeature = 3;
  ShardingRuleBuilder builder(*this);
  addScoreFactors(*this, builder, {{kQ}, {kK, kV}, {kO, kLse}, {}});
  builder.factor({in(kQ, kFeature), in(kK, kFeature)}, FactorKind::Replicate);
  builder.factor({in(kV, kFeature), out(kO, kFeature)});
  return builder.partial({kV}, {kO}).build();
}

/// The slope of a score is a sum over e, and dq and dk are linear in it. All three are linear in
/// d_o.
ShardingRule AttentionGradOp::getShardingRule() {
  constexpr unsigned kDO = 0, kQ = 1, kK = 2, kV = 3, kO = 4, kLse = 5;
  constexpr unsigned kDq = 0, kDk = 1, kDv = 2, kFeature = 3;
  ShardingRuleBuilder builder(*this);
  addScoreFactors(*this, builder, {{kDO, kQ, kO, kLse}, {kK, kV}, {kDq}, {kDk, kDv}});
  builder.factor({in(kQ, kFeature), in(kK, kFeature), out(kDq, kFeature), out(kDk, kFeature)},
                 FactorKind::Replicate);
  builder.factor({in(kDO, kFeature), in(kV, kFeature), in(kO, kFeature), out(kDv, kFeature)},
                 FactorKind::Reduction, ReductionKind::Sum);
  return builder.partial({kDO}).build();
}

} // namespace deepshard::graph
