//===- Reshard.h - a change of layout as a sequence of collectives ----------------------------===//
//
// The one function that says what it takes to bring a tensor from one layout to another. The
// planner prices its steps, the partitioner emits them: they cannot drift.
//
// State. The axes of both layouts are cut into *atoms*: sub-axes of prime size at common
// boundaries, so that the axes of the two are lists of the same atoms. The state is the list of
// atoms of each dimension (major to minor), and the partial atoms still to be reduced. Every step
// moves atoms at the minor end of the lists only, for that is what collectives on whole blocks can
// do; a permute may exchange lists for any others of the same sizes.
//
//   data = 4 (atoms a b), tensor = 2 (atom c), shape 4 x 8:
//   from [{data}, {}], partial = sum {tensor}   to [{}, {data:(2)2, tensor}]      dim 0    dim 1
//                                                                                 a b      -
//   1. cut       free slices and reduce_scatters     reduce_scatter {tensor} 1    a b      c
//                append what the target wants
//   2. permute   if the order at hand blocks 3, 4    permute {data:(2)2, tensor}  a c      b
//   3. move      all_to_all: the minor end of one    all_to_all {tensor} 0 -> 1   a        b c
//                dimension becomes that of another
//   4. join      all_gather what nobody wants        all_gather {data:(1)2} 0     -        b c
//
// Step 3 is found backwards: from the target with the atoms that 4 gathers appended, suffixes move
// until every dimension has as many parts as step 1 left it; that order is what 2 has to make.
// Where primes mix (parts 2 x 3 to parts 3 x 2), another permute lies between the moves.
//
// A few variants of step 1 are tried (cut more than needed, gather before moving, reduce at once);
// the one that receives the fewest elements wins, then the one with fewer steps, then the first.
//
// Invariants. No local tensor is larger than the larger end; every cut divides if both layouts
// divide the shape; equal layouts give no step. Reductions run from the innermost axis of the mesh
// outwards, or over several axes at once in the order of the mesh: so sums over powers of two have
// the bits of one sum over all axes (section 4 of the design: halves first).
//
// The exception: sub-axes of one axis that have no common refinement ("a":(1)2 against "a":(1)3 of
// an axis of 6) are gathered on the way, which may take more memory than either end.
//
// Cost. O(a^2 d) for a atoms and d dimensions, times the at most 16 variants; a mesh of 2^14 ranks
// has 14 atoms. The sources of a permute, O(group), are made only when it is emitted.
//
// Source: the order slice, permute, all-to-all, gather is from Rink et al., "Memory-efficient array
// redistribution through portable collective communication" (arXiv 2112.01075); Shardy's
// reshard-to-collectives does it with other rules for step 2.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_DIALECTS_SHARDING_RESHARD_H
#define DEEPSHARD_DIALECTS_SHARDING_RESHARD_H

#include "dialects/sharding/Sharding.h"

namespace mlir {
class OpBuilder;
} // namespace mlir

namespace deepshard::sharding {

enum class StepKind : uint8_t {
  LocalSlice,
  ReduceScatter,
  AllReduce,
  Permute,
  AllToAll,
  AllGather
};

/// One collective (or a slice). Its group are the ranks that differ only on `axes`.
struct Step {
  StepKind kind;
  llvm::SmallVector<AxisRefAttr> axes;
  /// LocalSlice, ReduceScatter: what is cut. AllGather: what is joined. AllToAll: what is cut.
  int64_t dim = -1;
  /// AllToAll: what is joined.
  int64_t concat = -1;
  /// ReduceScatter, AllReduce.
  Reduction reduction = Reduction::Sum;
  /// ReduceScatter, AllReduce: the element type on the wire; null: that of the value.
  mlir::Type reducedIn;
  /// Permute: the axes of each dimension before and after.
  llvm::SmallVector<llvm::SmallVector<AxisRefAttr>> before, after;
  /// Shapes of the local tensor.
  llvm::SmallVector<int64_t> inputShape, outputShape;

  bool communicates() const { return kind != StepKind::LocalSlice; }
  /// Elements that a rank receives if nothing is sent twice: with N ranks in the group,
  /// (N - 1) / N of the whole for a reduce_scatter, all_gather or all_to_all, twice that for an
  /// all_reduce, the input for a permute, 0 for a slice.
  int64_t receivedElements(MeshAttr mesh) const;
};

using Steps = llvm::SmallVector<Step, 0>;

/// The steps from `from` to `to` for a tensor of (global) `shape`, whose dimensions must divide
/// under both. Both layouts are of `mesh`. What `to` holds partial must be partial in `from`, with
/// the same reduction: nothing becomes partial. The memory of the layouts plays no part: copies
/// between memories are not collectives.
Steps reshardSteps(LayoutAttr from, LayoutAttr to, MeshAttr mesh, llvm::ArrayRef<int64_t> shape);

/// The attribute `sources` of the permute that `step` is.
llvm::SmallVector<int64_t> permuteSources(const Step &step, MeshAttr mesh);

/// The op of one step, on a local value; `mesh` is called `name`.
mlir::Value emitStep(mlir::OpBuilder &builder, mlir::Location location, mlir::Value value,
                     const Step &step, mlir::FlatSymbolRefAttr name, MeshAttr mesh);

/// Brings a local value from one layout to another; see `reshardSteps`.
mlir::Value emitReshard(mlir::OpBuilder &builder, mlir::Location location, mlir::Value localValue,
                        LayoutAttr from, LayoutAttr to, MeshAttr mesh);

} // namespace deepshard::sharding

#endif // DEEPSHARD_DIALECTS_SHARDING_RESHARD_H
