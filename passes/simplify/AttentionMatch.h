//===- AttentionMatch.h - attention written out by hand ---------------------------------------===//

#ifndef DEEPSHARD_PASSES_SIMPLIFY_ATTENTIONMATCH_H
#define DEEPSHARD_PASSES_SIMPLIFY_ATTENTIONMATCH_H

#include "dialects/graph/Graph.h"

#include <optional>

namespace deepshard {

/// A mask met between the scores and the softmax.
struct MaskUse {
  /// The addend, or the predicate of a selection.
  mlir::Value value;
  /// Of a selection: what hidden scores become. None: `value` is added.
  std::optional<double> fill;
  /// Of a selection: the predicate is true where keys are hidden.
  bool namesHidden = false;
  /// The shape of the scores where the mask applies.
  llvm::SmallVector<int64_t> scoreShape;
  /// What masked scores are multiplied by afterwards.
  double factorAfter = 1;
};

/// softmax(factor q k^T, masked) v and the ops that it is made of.
struct HandWrittenAttention {
  graph::MatmulOp scores;
  graph::SoftmaxOp softmax;
  graph::DropoutOp dropout; // null: none
  graph::MatmulOp output;
  double factor = 1;
  /// In the order from the softmax back to the scores.
  llvm::SmallVector<MaskUse, 2> masks;
};

/// Reads backwards from `output`, a product of probabilities and values. Nothing but the chain may
/// read what lies between, else the score matrix is needed anyway.
std::optional<HandWrittenAttention> matchAttention(graph::MatmulOp output);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_SIMPLIFY_ATTENTIONMATCH_H
