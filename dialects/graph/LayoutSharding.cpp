//===- LayoutSharding.cpp - sharding rules and partitions of ops that move elements -----------===//
//
// Moved elements stay what they are: parts of sums, maxima and minima pass alike.
//
//===------------------------------------------------------------------------------------------===//

#include "dialects/graph/PartitionBuilder.h"
#include "dialects/graph/PrimitiveBuilder.h"

#include "mlir/IR/Matchers.h"

#include <numeric>

using namespace mlir;

namespace deepshard::graph {

//===----------------------------------------------------------------------===//
// Sources
//===----------------------------------------------------------------------===//

/// A splat is a splat of any size; other constants are whole everywhere.
ShardingRule ConstantOp::getShardingRule() {
  return ShardingRuleBuilder(*this)
      .pointwise(getValue().isSplat() ? FactorKind::PassThrough : FactorKind::Replicate)
      .build();
}

FailureOr<SmallVector<Value>> ConstantOp::partition(PartitionBuilder &partition) {
  RankedTensorType local = partition.localType(getType(), partition.rule().results[0]);
  auto constant = cast<ConstantOp>(partition.clone(*this));
  if (local != getType())
    constant.setValueAttr(DenseElementsAttr::get(local, getValue().getSplatValue<Attribute>()));
  return SmallVector<Value>{constant};
}

ShardingRule IotaOp::getShardingRule() {
  ShardingRuleBuilder builder(*this);
  for (unsigned dim = 0; dim < getResult().getType().getRank(); ++dim)
    builder.factor({out(0, dim)}, dim == getDim() ? FactorKind::Special : FactorKind::PassThrough);
  return builder.build();
}

/// Counts from the start of the part. In i64, so that a start that the element type cannot hold
/// does not round twice.
FailureOr<SmallVector<Value>> IotaOp::partition(PartitionBuilder &partition) {
  const DimensionFactors &counted = partition.rule().results[0][getDim()];
  if (counted.empty() || !partition.isSplit(counted[0]))
    return partitionByCloning(*this, partition);
  PrimitiveBuilder b(partition.builder(), partition.location());
  RankedTensorType local = partition.localType(getType(), partition.rule().results[0]);
  Value count =
      b.iota(partition.builder().getI64Type(), local.getShape(), static_cast<int64_t>(getDim()));
  Value start = partition.offset(counted[0], partition.localSize(counted[0]));
  return SmallVector<Value>{b.convert(b.add(count, start), local.getElementType())};
}

//===----------------------------------------------------------------------===//
// Views
//===----------------------------------------------------------------------===//

namespace {

/// The factors of a reshape: both shapes are walked from the major end, and what is left of the
/// two dimensions at hand gives their greatest common divisor as a factor of both. Where that is 1
/// although neither is used up (3x2 to 2x3), indices mix: the dimensions up to the next place where
/// both shapes have passed equally many elements get factors of their own that are never split.
class ReshapeFactors {
public:
  ReshapeFactors(ReshapeOp op, ShardingRuleBuilder &builder)
      : from(op.getX().getType().getShape()), to(op.getResult().getType().getShape()),
        builder(builder) {}

  void run() {
    while (skipOnes()) {
      int64_t common = std::gcd(from.rest, to.rest);
      if (common == 1) {
        mix();
        continue;
      }
      builder.factor(common, {in(0, from.dim), out(0, to.dim)});
      from.rest /= common;
      to.rest /= common;
    }
  }

private:
  struct Side {
    explicit Side(ArrayRef<int64_t> shape) : shape(shape), rest(shape.empty() ? 1 : shape[0]) {}
    /// Moves to the next dimension that is not used up; false at the end.
    bool skipOnes() {
      while (rest == 1 && dim < shape.size())
        next();
      return dim < shape.size();
    }
    void next() { rest = ++dim < shape.size() ? shape[dim] : 1; }

    ArrayRef<int64_t> shape;
    unsigned dim = 0;
    int64_t rest; // what no factor covers yet of dimension `dim`
  };

  bool skipOnes() {
    bool more = from.skipOnes();
    return to.skipOnes() && more;
  }

  void mix() {
    int64_t passedFrom = take(from, in(0, from.dim)), passedTo = take(to, out(0, to.dim));
    while (passedFrom != passedTo) {
      skipOnes();
      if (passedFrom < passedTo)
        passedFrom *= take(from, in(0, from.dim));
      else
        passedTo *= take(to, out(0, to.dim));
    }
  }

  int64_t take(Side &side, RulePlace place) {
    int64_t size = side.rest;
    builder.factor(size, place, FactorKind::Replicate);
    side.next();
    return size;
  }

  Side from, to;
  ShardingRuleBuilder &builder;
};

} // namespace

/// Without elements every dimension stays whole.
ShardingRule ReshapeOp::getShardingRule() {
  ShardingRuleBuilder builder(*this);
  if (getX().getType().getNumElements() != 0)
    ReshapeFactors(*this, builder).run();
  return builder.partial({0}, {}, kReductionKinds).build();
}

ShardingRule TransposeOp::getShardingRule() {
  ShardingRuleBuilder builder(*this);
  for (auto [to, from] : llvm::enumerate(getPermutation()))
    builder.factor({in(0, static_cast<unsigned>(from)), out(0, static_cast<unsigned>(to))});
  return builder.partial({0}, {}, kReductionKinds).build();
}

/// Repeated dimensions are factors of the result alone.
ShardingRule BroadcastOp::getShardingRule() {
  ShardingRuleBuilder builder(*this);
  for (unsigned to = 0; to < getResult().getType().getRank(); ++to) {
    SmallVector<RulePlace, 2> places = {out(0, to)};
    const auto *from = llvm::find(getDims(), static_cast<int64_t>(to));
    if (from != getDims().end()) {
      RulePlace place = in(0, static_cast<unsigned>(from - getDims().begin()));
      if (builder.sizeOf(place) == builder.sizeOf(out(0, to)))
        places.push_back(place);
    }
    builder.factor(places);
  }
  return builder.partial({0}, {}, kReductionKinds).build();
}

//===----------------------------------------------------------------------===//
// Windows
//===----------------------------------------------------------------------===//

/// Whether dimension `dim` is taken as a whole.
static bool isWhole(SliceOp op, unsigned dim) {
  return op.getStarts()[dim] == 0 && op.getStrides()[dim] == 1 &&
         op.getLimits()[dim] == op.getX().getType().getDimSize(dim);
}

ShardingRule SliceOp::getShardingRule() {
  ShardingRuleBuilder builder(*this);
  for (unsigned dim = 0; dim < getX().getType().getRank(); ++dim)
    if (isWhole(*this, dim))
      builder.factor({in(0, dim), out(0, dim)});
  return builder.partial({0}, {}, kReductionKinds).build();
}

FailureOr<SmallVector<Value>> SliceOp::partition(PartitionBuilder &partition) {
  auto local = cast<SliceOp>(partition.clone(*this));
  SmallVector<int64_t> limits(getLimits());
  for (unsigned dim = 0; dim < limits.size(); ++dim)
    if (isWhole(*this, dim))
      limits[dim] = local.getX().getType().getDimSize(dim);
  local.setLimits(limits);
  return SmallVector<Value>{local};
}

/// Padding is added on every rank: its value has to be partial as well, or zero.
ShardingRule PadOp::getShardingRule() {
  ShardingRuleBuilder builder(*this);
  for (unsigned dim = 0; dim < getX().getType().getRank(); ++dim)
    if (getLow()[dim] == 0 && getHigh()[dim] == 0 &&
        (getInterior()[dim] == 0 || getX().getType().getDimSize(dim) == 1))
      builder.factor({in(0, dim), out(0, dim)});
  builder.partial({0, 1}, {}, kReductionKinds);
  if (matchPattern(getValue(), m_AnyZeroFloat()) || matchPattern(getValue(), m_Zero()))
    builder.partial({0});
  return builder.build();
}

ShardingRule ConcatOp::getShardingRule() {
  ShardingRuleBuilder builder(*this);
  auto operands = llvm::to_vector(llvm::seq<unsigned>(0, getNumOperands()));
  for (unsigned dim = 0; dim < getResult().getType().getRank(); ++dim) {
    if (dim == getDim())
      continue;
    SmallVector<RulePlace> places = {out(0, dim)};
    for (unsigned operand : operands)
      places.push_back(in(operand, dim));
    builder.factor(places);
  }
  return builder.partial(operands, {}, kReductionKinds).build();
}

} // namespace deepshard::graph
