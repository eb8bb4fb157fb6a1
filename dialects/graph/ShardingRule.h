//===- ShardingRule.h - how an op may be split over ranks, as data ----------------------------===//
//
// An op is described like an einsum: every dimension of every operand and result is a product of
// *factors*, and dimensions that carry the same factor are split together. Which mesh axes split
// which factor is decided elsewhere; this header knows no mesh.
//
//   matmul:  ([i, k],[k, j])->([i, j]) {i=8, j=16, k=4} reduction={k:sum} partial={0->0, 1->0}
//   reshape: ([i, j])->([ij]) {i=2, j=4}
//
// Splitting factor f into n parts means: of every tensor that has f, rank p (0 <= p < n) holds the
// p-th of n equal ranges of f; tensors that lack f are whole. What results that lack f then hold is
// said by the kind of f:
//
// | kind        | the local op                          | results that lack the factor hold      |
// | ----------- | ------------------------------------- | -------------------------------------- |
// | PassThrough | the same op on local types            | the same value on every rank           |
// | Reduction   | the same op on local types            | a part of the value, see `leaves`      |
// | Special     | emitted by the op's own `partition`   | the value, or a part of it if `leaves` |
// | Replicate   | must not be split                     | -                                      |
//
// Where a dimension is a product of factors (major to minor), a minor factor is split by a layout
// only if the factors before it are split completely.
//
// *Partial* operands: a value of which each rank of an axis holds a summand (or one of the values
// to take the maximum of) may be read only through the sets in `partial`; the axes of the parts
// must not split a factor of the op.
//
// A split factor whose op reduces something over its ranks by itself (the loss over a split
// vocabulary) costs that: the rule says how much.
//
// A split *ring* factor costs what its op sends meanwhile, which the rule says too: the ranks hand
// the local parts of the ring's tensors on, each to the next.
//
// Splitting a factor divides the arithmetic of the op among its ranks but for the *repeated* part,
// which each of them does in full: attention over a part of the value features computes all scores.
//
//   attention: ([i, j, k, l],[i, j, k, l],[i, j, k, m])->([i, j, k, m],[i, j, k])
//              {i=2, j=4, k=64, l=8, m=8} special={k} replicate={l} ring={k:1&2} instead={k->j}
//              repeated={m:688128}
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_DIALECTS_GRAPH_SHARDINGRULE_H
#define DEEPSHARD_DIALECTS_GRAPH_SHARDINGRULE_H

#include "mlir/Support/LLVM.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"

#include <cstdint>
#include <optional>
#include <string>

namespace mlir {
class Operation;
} // namespace mlir

namespace deepshard::graph {

enum class FactorKind : uint8_t { PassThrough, Reduction, Replicate, Special };

/// How the parts of a value make the value.
enum class ReductionKind : uint8_t { Sum, Max, Min };
inline constexpr ReductionKind kReductionKinds[] = {ReductionKind::Sum, ReductionKind::Max,
                                                    ReductionKind::Min};

/// "sum", "max", "min".
llvm::StringRef nameOf(ReductionKind kind);

/// A range of `size` > 1 indices that occurs in dimensions of operands and results (0: a tensor
/// without elements, never split).
struct Factor {
  int64_t size = 1;
  FactorKind kind = FactorKind::PassThrough;
  /// What the results that lack the factor hold while it is split: parts to be reduced. Always set
  /// for Reduction; for Special, where the op's `partition` leaves the reduction to its caller.
  std::optional<ReductionKind> leaves;

  bool operator==(const Factor &) const = default;
};

/// The factors of one dimension, major to minor; empty: size 1.
using DimensionFactors = llvm::SmallVector<unsigned, 2>;
/// The factors of a tensor, per dimension.
using TensorFactors = llvm::SmallVector<DimensionFactors, 4>;

/// Operands that may be partial over the same axes, all of them together while every other operand
/// is whole; then `results` are partial over these axes and the other results are whole.
struct PartialOperands {
  llvm::SmallVector<unsigned, 2> operands; // ascending
  llvm::SmallVector<unsigned, 2> results;  // ascending
  llvm::SmallVector<ReductionKind, 3> kinds = {ReductionKind::Sum};

  bool operator==(const PartialOperands &) const = default;
};

/// What the n ranks that split `factor` hand on, each to the next: parts of operands n - 1 times,
/// after which every rank has seen all of them; parts of results, to which every rank adds, n
/// times, after which they are home. Results travel in f32 if their type is narrower.
struct Ring {
  unsigned factor = 0;
  llvm::SmallVector<unsigned, 2> operands, results; // ascending
  /// Whether a rank only works on the blocks of the ranks before it and, half, on its own: the last
  /// one, for which all wait in the end, has 2 - 1 / n of the work that each would have of equal
  /// parts.
  bool isCausal = false;

  bool operator==(const Ring &) const = default;
};

/// While `factor` is split, its ranks reduce over each other, inside the op, `times` values of the
/// type and the local shape of result `result`; all of them get the result (an all_reduce).
struct InnerReduction {
  unsigned factor = 0, result = 0;
  int64_t times = 1;

  bool operator==(const InnerReduction &) const = default;
};

/// Of the flops of the whole op (CostOpInterface), those that each rank does for the part that it
/// has of the other factors, however many ranks split `factor`.
struct Repeated {
  unsigned factor = 0;
  int64_t flops = 0;

  bool operator==(const Repeated &) const = default;
};

/// Axes that split `factor` where operands come from may split `other` here instead, and back for
/// the results: a tensor that has both is moved by an all-to-all.
struct Instead {
  unsigned factor = 0, other = 0;

  bool operator==(const Instead &) const = default;
};

/// The rule of one op on its shapes. Operands and results are counted as in `Operation`; absent
/// optional operands do not count.
struct ShardingRule {
  llvm::SmallVector<Factor> factors;
  llvm::SmallVector<TensorFactors> operands, results;
  llvm::SmallVector<PartialOperands> partial;
  llvm::SmallVector<Ring, 1> rings;
  llvm::SmallVector<InnerReduction, 1> inner;
  llvm::SmallVector<Instead, 2> instead;
  llvm::SmallVector<Repeated, 1> repeated;
  /// Operands that belong to the result once, not to each summand that a split Reduction factor
  /// leaves: the op's `partition` hands them to `addAfterReduction`, so the result must be reduced
  /// where the op stands.
  llvm::SmallVector<unsigned, 1> once;

  /// The dimension of `tensor` that has `factor`.
  static std::optional<unsigned> dimensionOf(const TensorFactors &tensor, unsigned factor);
  static bool has(const TensorFactors &tensor, unsigned factor) {
    return dimensionOf(tensor, factor).has_value();
  }
  /// How the parts that ranks hold of result `result` while `factor` is split make the result;
  /// nothing: the result is split along the factor or whole.
  std::optional<ReductionKind> partialKind(unsigned result, unsigned factor) const;
  /// The set of operands through which parts pass if exactly `operands` (ascending) hold parts of
  /// kind `kind`; null: they have to be reduced first.
  const PartialOperands *findPartial(llvm::ArrayRef<unsigned> operands, ReductionKind kind) const;
  /// Bytes that a rank sends round the rings of `op`, whose rule this is, with factor f split into
  /// parts[f] equal parts.
  int64_t bytesRound(mlir::Operation *op, llvm::ArrayRef<int64_t> parts) const;
  /// Bytes of the values that one of the `inner` reductions of `op`, whose rule this is, reduces,
  /// all together, with factor f split into parts[f] equal parts.
  int64_t bytesReduced(mlir::Operation *op, const InnerReduction &reduction,
                       llvm::ArrayRef<int64_t> parts) const;
  /// Of `flops`, those of the whole op whose rule this is, what the ranks do all together with
  /// factor f split into parts[f] equal parts.
  int64_t flopsOfAll(int64_t flops, llvm::ArrayRef<int64_t> parts) const;
  /// Sizes of the dimensions of `tensor` with factor f split into parts[f] equal parts.
  llvm::SmallVector<int64_t> localShape(const TensorFactors &tensor,
                                        llvm::ArrayRef<int64_t> parts) const;

  /// The text above: "([i, k],[k, j])->([i, j]) {i=8, j=16, k=4} reduction={k:sum} ...".
  std::string text() const;
  /// The name of a factor in `text`: i, j, ..., z, then i1, j1, ...
  static std::string nameOf(unsigned factor);

  bool operator==(const ShardingRule &) const = default;
};

/// A rule says what an op can mean:
/// 1. one entry per operand and result, with one list of factors per dimension
/// 2. the sizes of the factors of a dimension multiply to its size; none is 1
/// 3. no tensor has a factor twice, every factor occurs
/// 4. a Reduction factor occurs in an operand, at least one result lacks it, and `leaves` is set;
///    a PassThrough factor occurs in a result; both it and a Replicate factor leave nothing
/// 5. partial operands and results are ascending, existing and not empty; no two entries are alike
/// 6. the factor of a ring is Special and has one ring; its operands and results are ascending,
///    existing and have the factor, and there is an operand
/// 7. the factor of an inner reduction is Special, its result lacks the factor, and it happens once
///    at least
/// 8. factors that are split instead of each other are two that exist, the other one not Replicate
/// 9. the factor of a repeated part exists, is not Replicate and has one; its flops are not
/// negative Reports at the op.
llvm::LogicalResult verifyRule(mlir::Operation *op, const ShardingRule &rule);

/// A dimension of an operand or result of an op.
struct RulePlace {
  bool isResult;
  unsigned index;
  unsigned dim;
};
inline RulePlace in(unsigned operand, unsigned dim) { return {false, operand, dim}; }
inline RulePlace out(unsigned result, unsigned dim) { return {true, result, dim}; }

/// Builds a rule factor by factor. Dimensions that no factor names when the rule is built become
/// Replicate factors of their own.
class ShardingRuleBuilder {
public:
  explicit ShardingRuleBuilder(mlir::Operation *op);

  /// A factor that is the whole of all `places`, which have one size. Nothing if that is 1.
  ShardingRuleBuilder &factor(llvm::ArrayRef<RulePlace> places,
                              FactorKind kind = FactorKind::PassThrough,
                              std::optional<ReductionKind> leaves = std::nullopt);
  /// A factor of `size` that is the next minor one of `places`.
  ShardingRuleBuilder &factor(int64_t size, llvm::ArrayRef<RulePlace> places,
                              FactorKind kind = FactorKind::PassThrough,
                              std::optional<ReductionKind> leaves = std::nullopt);
  /// One factor per dimension of result 0, which is also that of every operand and result that has
  /// the dimension under NumPy's broadcasting: trailing dimensions align, a size of 1 repeats.
  ShardingRuleBuilder &pointwise(FactorKind kind = FactorKind::PassThrough);
  /// Parts pass from `operands`, all together, to `results` (empty: all of them).
  ShardingRuleBuilder &partial(llvm::ArrayRef<unsigned> operands,
                               llvm::ArrayRef<unsigned> results = {},
                               llvm::ArrayRef<ReductionKind> kinds = ReductionKind::Sum);

  /// The factor of dimension `place`, if it has one, is passed round with these tensors.
  ShardingRuleBuilder &ring(RulePlace place, bool isCausal, llvm::ArrayRef<unsigned> operands,
                            llvm::ArrayRef<unsigned> results);
  /// While the factor of `place` is split, the op reduces `times` values like a result.
  ShardingRuleBuilder &inner(RulePlace place, unsigned result, int64_t times);
  /// However the factor of `place` is split, each of its ranks does `flops` of the op's.
  ShardingRuleBuilder &repeats(RulePlace place, int64_t flops);
  /// Axes of the factor of `place` may split the first factor of `other` instead, if both have
  /// factors and the latter can be split.
  ShardingRuleBuilder &instead(RulePlace place, RulePlace other);

  /// The operand belongs to the result once.
  ShardingRuleBuilder &once(unsigned operand);

  int64_t sizeOf(RulePlace place) const;
  ShardingRule build();

private:
  TensorFactors &tensorOf(RulePlace place);

  mlir::Operation *op;
  ShardingRule rule;
};

/// The rule of an elementwise op without partial operands.
ShardingRule pointwiseRule(mlir::Operation *op);

} // namespace deepshard::graph

#endif // DEEPSHARD_DIALECTS_GRAPH_SHARDINGRULE_H
