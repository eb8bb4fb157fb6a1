//===- FactorChoice.h - which axes split the factors of an op ---------------------------------===//

#ifndef DEEPSHARD_PASSES_SHARDING_FACTORCHOICE_H
#define DEEPSHARD_PASSES_SHARDING_FACTORCHOICE_H

#include "passes/sharding/OpLayouts.h"

#include <string>

namespace deepshard {

/// The axes that split each factor of an op, and the operand that each has them from; readers give
/// where the number is that of operands.
struct FactorChoice {
  llvm::SmallVector<Axes> factors;
  llvm::SmallVector<unsigned> givers;
  /// As `factors`, but axes that split another factor instead (`graph::Instead`) where the operands
  /// have them: so results are to lie.
  llvm::SmallVector<Axes> home;
  /// Why the op cannot be split as `attention` asks; empty if it can.
  std::string refused;
};

/// How readers would split a factor that no operand has.
struct ReaderWish {
  unsigned factor;
  Axes axes;
};

/// Axes for dimensions that only results have (what a broadcast repeats, a splat, the rows of a
/// table's gradient): those of what is read beside a result, as far as it is laid out (`layoutOf`
/// is null where it is not), and those that it is returned with. Else every rank would make all of
/// them: the micro-batch of all ranks.
llvm::SmallVector<ReaderWish>
wishesOfReaders(mlir::Operation *op, const graph::ShardingRule &rule,
                llvm::function_ref<sharding::LayoutAttr(mlir::Value)> layoutOf,
                mlir::FlatSymbolRefAttr mesh, sharding::MeshAttr grid);

/// Leaves the operands where they are as far as the op can. Each axis of each operand is a wish for
/// the factor it lies on. Wishes are granted by size, the tensors with most elements first: moving
/// a large tensor costs more than moving a small one. A wish is refused if its factor is split
/// already or must not be split, if its axes split another factor, or if a result would be partial
/// in two ways. `readers` come last. Greedy, as Shardy's conflict resolution
/// (insert_explicit_reshards.cc, design notes in docs of Shardy).
///
/// Wishes for factors of `rule.instead`, the sequence of attention, come last, and `attention`
/// (`sharding.attention` of the module, or what a search tries) says what becomes of them: with
/// "ulysses" they split the other factor, the key/value heads, behind the axes that it has; with
/// "ring" they stay, and the op passes round; with "auto" the first of the two that can be, else
/// the operands are gathered.
FactorChoice chooseFactors(mlir::Operation *op, const graph::ShardingRule &rule,
                           const OpLayouts &layouts, llvm::ArrayRef<sharding::LayoutAttr> operands,
                           llvm::ArrayRef<ReaderWish> readers, llvm::StringRef attention,
                           sharding::MeshAttr grid);

/// `sharding.attention` of the module around `op`; "auto" if there is none.
llvm::StringRef attentionOf(mlir::Operation *op);

/// A factor that may not be split as it is: a layout cuts a dimension into ranges, so where a
/// dimension of an operand or result is several factors, a minor one can be split only if those
/// before it are split completely.
std::optional<unsigned> findStrided(const graph::ShardingRule &rule, llvm::ArrayRef<Axes> factors,
                                    sharding::MeshAttr grid);

/// Whether splitting `factor` too would leave a result that is partial in two ways.
bool isTwofold(const graph::ShardingRule &rule, llvm::ArrayRef<Axes> factors, unsigned factor);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_SHARDING_FACTORCHOICE_H
