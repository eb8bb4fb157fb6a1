//===- Fold.h - the repeated blocks of a function ---------------------------------------------===//
//
// Networks repeat: what holds for one layer holds for all that are equal to it. Names say nothing
// about that; the graph does.
//
//   segment   the forward ops between two single-tensor separators, points of the program at which
//             one value carries all that was computed from parameters so far (the residual stream
//             between the halves of a transformer layer), and the backward ops that belong to them
//   kind      of a segment: equal if ops, shapes, attributes, pins of parameters and the structure
//             of operands are equal (of a FoldBy::Computation layouts and pins do not count)
//   run       a list of kinds repeated: [attention, MLP] 12 times is one run of blocks
//
// A backward op belongs to the earliest segment of which it reads a forward value (the separator in
// front of a segment counts as the segment's); what reads only a parameter beside gradients to the
// segment that read it before; a sum of gradients to the earliest one that it adds up; what only
// hands on one gradient to where that is read. What depends on no parameter (masks,
// positions) carries no state: it belongs to no segment and does not hinder a separator.
//
// O(ops) but for the runs, O(segments^2).
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_PLANNER_FOLD_H
#define DEEPSHARD_PASSES_PLANNER_FOLD_H

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace deepshard {

struct Segment {
  llvm::SmallVector<mlir::Operation *> ops; // forward ones first, each in the order of the program
  unsigned kind = 0;                        // counted from 0 in order of appearance
  mlir::Value end; // the separator behind it; null: what carries state ends here
};

/// `count` blocks of `length` segments each, from segment `first` on.
struct Run {
  size_t first, length, count;
};

/// What tells segments apart.
enum class FoldBy { ComputationAndLayouts, Computation };

struct Fold {
  llvm::SmallVector<Segment, 0> segments;
  llvm::SmallVector<Run> runs; // in the order of the program; together all segments

  /// `function`: as imported, or with its gradients (`differentiate`).
  explicit Fold(mlir::func::FuncOp function, FoldBy by = FoldBy::ComputationAndLayouts);
};

/// The runs of a list of kinds: at each place the repetition that covers most, the shorter of equal
/// ones; what is not repeated becomes runs of one block of one segment.
llvm::SmallVector<Run> findRuns(llvm::ArrayRef<unsigned> kinds);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLANNER_FOLD_H
