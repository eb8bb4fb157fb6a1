//===- AttentionSharding.cpp - sharding rules and partitions of attention ---------------------===//
//
// Names as in the op: b batch, h = g r heads (g key/value heads, r query heads each), s queries, t
// keys, d and e features. Batch rows and key/value heads are independent of each other; with one
// key/value head, so are the heads that share it. The scores need all of d, and the softmax all of
// t: keys and values can only be split with the queries, as a ring (RingAttention.cpp), and where
// that cannot be, or costs more, the axes that split the sequence outside may split the key/value
// heads here (Ulysses, Jacobs et al., arXiv 2309.14509): `instead` says so.
// With dropout the mask is a function of batch row and head: these factors are special.
//
//===------------------------------------------------------------------------------------------===//

#include "dialects/graph/Attention.h"

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

/// The factors b, g, r, s and t of either op, s and t being one where a ring can be; d and e
/// differ.
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
  // The dropout of a part is not split again.
  FactorKind independent = op.getOffsets() ? FactorKind::Replicate
                           : drops         ? FactorKind::Special
                                           : FactorKind::PassThrough;

  builder.factor(withMask(places.all(kBatch), kBatch, q[kBatch]), independent);
  builder.factor(groups, withMask(places.all(kHead), kHead, heads), independent);
  bool adds = !places.groupResults.empty();
  FactorKind shared = !drops && adds ? FactorKind::Reduction : independent;
  if (groups != 1)
    shared = FactorKind::Replicate;
  bool leaves = adds && shared != FactorKind::Replicate;
  builder.factor(heads / groups, withMask(places.heads(kHead), kHead, heads), shared,
                 leaves ? std::optional(ReductionKind::Sum) : std::nullopt);

  constexpr unsigned kKeyOfGroup = 2;
  static_assert(kQuery == kKeyOfGroup);
  RulePlace query = places.heads(kQuery).front(), key = places.groups(kKeyOfGroup).front(),
            group = places.groups(kHead).front();
  if (canRing(op)) {
    builder.factor(places.all(kQuery), FactorKind::Special);
    builder.ring(query, op.getCausal(), places.perGroup, places.groupResults);
  } else {
    builder.factor(withMask(places.heads(kQuery), kQuery, q[kQuery]), FactorKind::Replicate);
    builder.factor(withMask(places.groups(kKeyOfGroup), kKey, k[kKeyOfGroup]),
                   FactorKind::Replicate);
    builder.instead(key, group);
  }
  builder.instead(query, group);
}

/// The factor that is passed round if it is split; nothing if it is not.
std::optional<unsigned> splitRing(const PartitionBuilder &partition) {
  for (const Ring &ring : partition.rule().rings)
    if (partition.isSplit(ring.factor))
      return ring.factor;
  return std::nullopt;
}

} // namespace

/// With dropout, the local op says where its scores lie in those of the whole op.
template <typename Op>
static FailureOr<SmallVector<Value>> partitionAttention(Op op, PartitionBuilder &partition) {
  Value offsets;
  if (op.getCounter() && !op.getOffsets()) {
    unsigned q = op.getQMutable().getOperandNumber();
    TensorFactors scores = partition.rule().operands[q];
    SmallVector<int64_t> shape(partition.localType(op.getQ().getType(), scores).getShape());
    // Queries and keys are whole.
    scores.back().clear();
    offsets = partition.offsets(scores, shape);
  }
  auto local = cast<Op>(partition.clone(op));
  if (offsets)
    dropAt(local, op, offsets);
  return SmallVector<Value>(local->getResults());
}

FailureOr<SmallVector<Value>> AttentionOp::partition(PartitionBuilder &partition) {
  if (std::optional<unsigned> factor = splitRing(partition))
    return ringAttention(*this, partition, *factor);
  return partitionAttention(*this, partition);
}

FailureOr<SmallVector<Value>> AttentionGradOp::partition(PartitionBuilder &partition) {
  if (std::optional<unsigned> factor = splitRing(partition))
    return ringAttentionGrad(*this, partition, *factor);
  return partitionAttention(*this, partition);
}

/// o is linear in v, lse does not depend on it. Any part of e needs all of the scores.
ShardingRule AttentionOp::getShardingRule() {
  constexpr unsigned kQ = 0, kK = 1, kV = 2, kO = 0, kLse = 1, kFeature = 3;
  ShardingRuleBuilder builder(*this);
  addScoreFactors(*this, builder, {{kQ}, {kK, kV}, {kO, kLse}, {}});
  builder.factor({in(kQ, kFeature), in(kK, kFeature)}, FactorKind::Replicate);
  builder.factor({in(kV, kFeature), out(kO, kFeature)});
  builder.repeats(in(kV, kFeature), flopsOfScores(*this));
  return builder.partial({kV}, {kO}).build();
}

/// The slope of a score is a sum over e, and dq and dk are linear in it. All three are linear in
/// d_o. Any part of e needs all of the scores and the products for dq and dk.
ShardingRule AttentionGradOp::getShardingRule() {
  constexpr unsigned kDO = 0, kQ = 1, kK = 2, kV = 3, kO = 4, kLse = 5;
  constexpr unsigned kDq = 0, kDk = 1, kDv = 2, kFeature = 3;
  ShardingRuleBuilder builder(*this);
  addScoreFactors(*this, builder, {{kDO, kQ, kO, kLse}, {kK, kV}, {kDq}, {kDk, kDv}});
  builder.factor({in(kQ, kFeature), in(kK, kFeature), out(kDq, kFeature), out(kDk, kFeature)},
                 FactorKind::Replicate);
  builder.factor({in(kDO, kFeature), in(kV, kFeature), in(kO, kFeature), out(kDv, kFeature)},
                 FactorKind::Reduction, ReductionKind::Sum);
  builder.repeats(in(kV, kFeature), flopsOfScores(*this));
  return builder.partial({kDO}).build();
}

} // namespace deepshard::graph
