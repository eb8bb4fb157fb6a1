//===- PartitionBuilder.h - what the partition of one op sees ---------------------------------===//

#ifndef DEEPSHARD_DIALECTS_GRAPH_PARTITIONBUILDER_H
#define DEEPSHARD_DIALECTS_GRAPH_PARTITIONBUILDER_H

#include "dialects/graph/ShardingRule.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"

namespace deepshard::graph {

/// Turns one op on whole tensors into ops on the parts that a rank holds. One object per op; the
/// partition pass and the test of the rules implement it.
///
/// Before: every operand lies as the rule and the parts of its factors say. After: results that
/// have a factor are split along it; results that lack a split factor hold what the rule says.
class PartitionBuilder {
public:
  virtual ~PartitionBuilder() = default;
  /// Inserts where the local ops belong; new ops get the discardable attributes of the op.
  virtual mlir::OpBuilder &builder() = 0;
  /// The location of the op.
  virtual mlir::Location location() const = 0;
  /// The rule of the op.
  virtual const ShardingRule &rule() const = 0;
  /// The local value of an operand.
  virtual mlir::Value operand(unsigned index) = 0;
  /// Into how many parts a factor is split: the product of the sizes of its axes. 1: not split.
  virtual int64_t numParts(unsigned factor) const = 0;
  /// Which part of a factor this rank holds, an i64 scalar.
  virtual mlir::Value partIndex(unsigned factor) = 0;
  /// Reduces `value` over the axes that split `factor`; every rank gets the result. `value` itself
  /// if the factor is not split.
  virtual mlir::Value allReduce(mlir::Value value, ReductionKind kind, unsigned factor) = 0;
  /// The `value` of the rank whose part of `factor` is `by` less, counted round: what each rank has
  /// goes to the rank `by` parts on.
  virtual mlir::Value rotate(mlir::Value value, unsigned factor, int64_t by) = 0;
  /// `value` belongs to result `result` once, not to each of its summands: it is to be added to the
  /// result after its sum over ranks. It has the element type of the result, broadcasts to it, and
  /// is split as the result is. (The bias of a linear op whose contraction is split.)
  virtual void addAfterReduction(unsigned result, mlir::Value value) = 0;

  bool isSplit(unsigned factor) const { return numParts(factor) > 1; }
  /// The type that a rank holds of a value of type `type` with the factors `tensor`.
  mlir::RankedTensorType localType(mlir::Type type, const TensorFactors &tensor) const;
  /// Size of `factor` on a rank.
  int64_t localSize(unsigned factor) const {
    return rule().factors[factor].size / numParts(factor);
  }
  /// partIndex(factor) * step as an i64 scalar; null if the factor is not split.
  mlir::Value offset(unsigned factor, int64_t step);
  /// Where the local part of `tensor` begins in the whole, one i64 per dimension; null if no
  /// dimension is split. `shape` are the local sizes. Only major factors may be split.
  mlir::Value offsets(const TensorFactors &tensor, llvm::ArrayRef<int64_t> shape);
  /// A copy of `op` on the local operands, its results of the local types. The caller adjusts
  /// attributes that hold sizes.
  mlir::Operation *clone(mlir::Operation *op);
};

/// The logarithm of the sum of e^x over all parts of `factor`, on every rank, where `own` is that
/// of the own part: by so many reductions of values like it.
inline constexpr int64_t kLogSumExpReductions = 2;
mlir::Value allReduceLogSumExp(PartitionBuilder &partition, mlir::Value own, unsigned factor);

} // namespace deepshard::graph

#endif // DEEPSHARD_DIALECTS_GRAPH_PARTITIONBUILDER_H
