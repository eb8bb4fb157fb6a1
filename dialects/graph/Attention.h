//===- Attention.h - what types, rules and partitions of attention share ---------------------===//

#ifndef DEEPSHARD_DIALECTS_GRAPH_ATTENTION_H
#define DEEPSHARD_DIALECTS_GRAPH_ATTENTION_H

#include "dialects/graph/Graph.h"
#include "dialects/graph/PartitionBuilder.h"

namespace deepshard::graph {

/// Whether queries and keys of an attention op or its gradient can be one factor: there are as many
/// of both, no mask lies along them, and the op is not a part of a larger one itself.
template <typename Op> bool canRing(Op op) {
  mlir::Value mask = op.getMask();
  auto isBroadcast = [&] {
    auto type = llvm::cast<mlir::RankedTensorType>(mask.getType());
    return type.getDimSize(2) == 1 && type.getDimSize(3) == 1;
  };
  return op.getQ().getType().getDimSize(2) == op.getK().getType().getDimSize(2) &&
         (!mask || isBroadcast()) && !op.getDiagonal() && !op.getOffsets();
}

/// Of the op's flops (`getCost`), those that do not depend on the size of the value features.
int64_t flopsOfScores(AttentionOp op);
int64_t flopsOfScores(AttentionGradOp op);

/// o and lse of the own queries; `factor`, of queries and keys, is split.
llvm::SmallVector<mlir::Value> ringAttention(AttentionOp op, PartitionBuilder &partition,
                                             unsigned factor);

/// dq, dk and dv of the own queries and keys; `factor` is split.
llvm::SmallVector<mlir::Value> ringAttentionGrad(AttentionGradOp op, PartitionBuilder &partition,
                                                 unsigned factor);

/// The dropout of the local op on scores that begin at `offsets` in those of `whole`.
template <typename Op> void dropAt(Op local, Op whole, mlir::Value offsets) {
  llvm::ArrayRef<int64_t> q = whole.getQ().getType().getShape(),
                          k = whole.getK().getType().getShape();
  local.getOffsetsMutable().assign(offsets);
  local.setGlobalShape(llvm::ArrayRef({q[0], q[1], q[2], k[2]}));
}

} // namespace deepshard::graph

#endif // DEEPSHARD_DIALECTS_GRAPH_ATTENTION_H
