//===- RowRegion.h - ops around a wide value that work row by row ----------------------------===//

#ifndef DEEPSHARD_PASSES_MEMORY_ROWREGION_H
#define DEEPSHARD_PASSES_MEMORY_ROWREGION_H

#include "dialects/graph/Graph.h"

#include "mlir/IR/Value.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/MapVector.h"

namespace deepshard {

/// Row axes that make up a dimension, major to minor, or its major part; none: it has nothing to do
/// with the rows.
using AxisList = llvm::SmallVector<unsigned, 2>;
/// Those of each dimension of a tensor.
using RowDims = llvm::SmallVector<AxisList, 4>;

/// What a forward op (the *anchor*) makes out of rows and something else, far wider than the rows
/// (logits of hidden states and an embedding), with all ops that read something so wide, up to what
/// is narrow again, and all ops between these. Each works on any part of the rows as on the whole:
/// as its sharding rule says, with rows in factors that pass through or leave a sum. Rows are all
/// dimensions that the anchor keeps, or only the outer ones (samples) where inner ones are mixed.
///
/// Values that are wide but do not depend on the anchor (one-hot targets) are made inside too.
/// Everything else that the region reads does not depend on it. Where that is so only because of a
/// result of a composite op (how many labels count), that result is computed by itself.
///
/// State: the members and the row axes of their dimensions. An iteration walks the block once,
/// takes what reads wide values and what is wanted, and then wants what was found missing; it ends
/// when nothing is missing, and fails at the first op that does not work row by row. O(ops) an
/// iteration, and each adds an op or takes out a result.
class RowRegion {
public:
  struct Member {
    graph::ShardingRule rule;
    llvm::SmallVector<AxisList> factors; ///< row axes of each factor of the rule
    llvm::SmallVector<RowDims> operands, results;
    bool dependsOnAnchor = true;
  };

  /// The region of `anchor` if there is one that reaches from the forward into the backward; else
  /// nothing, and the function is as it was.
  static std::optional<RowRegion> of(mlir::Operation *anchor);
  /// Whether `op` is of the kind of an anchor.
  static bool canBeAnchor(mlir::Operation *op);

  /// Makes the function what it was before, if the region is not used.
  void undo();

  /// Sizes, outermost first; none is 1.
  llvm::ArrayRef<int64_t> getAxes() const { return axes; }
  /// In the order of the program.
  const llvm::MapVector<mlir::Operation *, Member> &getMembers() const { return members; }
  mlir::Value wideValue() const { return anchor->getResult(0); }
  /// Results that depend on the anchor and are read outside.
  llvm::SmallVector<mlir::OpResult> outputs() const;
  /// How the parts of an output are put together; nothing: one behind another.
  std::optional<graph::ReductionKind> combination(mlir::OpResult output) const;
  /// Values that are read by members and are made by none.
  llvm::SmallVector<mlir::Value> inputs() const;

private:
  explicit RowRegion(mlir::Operation *anchor) : anchor(anchor) {}

  enum class Step : uint8_t { Done, Again, Failed };
  void setAxes(int64_t dims);
  Step grow();
  bool add(mlir::Operation *op);
  bool bind(const graph::ShardingRule &rule, const graph::TensorFactors &tensor,
            const RowDims &rows, llvm::SmallVectorImpl<std::optional<AxisList>> &factors) const;
  bool hasAllRowsOrNone(mlir::OpResult result, const Member &member) const;
  bool isWide(mlir::Value value) const;
  bool hasRows(mlir::Value value) const;
  const RowDims *rowsOf(mlir::Value value) const;
  bool dependsOnAnchor(mlir::Value value) const;
  Step wantMissing();
  bool wantProducers();
  bool wantBetween();
  bool computeByItself(mlir::Value value);

  mlir::Operation *anchor;
  llvm::SmallVector<int64_t> axes;
  RowDims anchorRows;
  llvm::MapVector<mlir::Operation *, Member> members;
  llvm::DenseSet<mlir::Operation *> between;
  llvm::DenseMap<mlir::Operation *, RowDims> producers; // of wide values, and the rows of these
  llvm::SmallVector<std::pair<mlir::OpOperand *, mlir::Value>>
      replaced;                               // and what they read before
  llvm::SmallVector<mlir::Operation *> built; // for them, last first
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_MEMORY_ROWREGION_H
