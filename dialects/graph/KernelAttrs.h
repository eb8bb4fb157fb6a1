//===- KernelAttrs.h - names of attributes that kernels are made by --------------------------===//

#ifndef DEEPSHARD_DIALECTS_GRAPH_KERNELATTRS_H
#define DEEPSHARD_DIALECTS_GRAPH_KERNELATTRS_H

#include "llvm/ADT/StringRef.h"

namespace deepshard::graph {

/// On an op of pass `chunk-rows`: the chunk, from 0 on. Ops of different chunks share no kernel,
/// else their large values would live at the same time again.
inline constexpr llvm::StringLiteral kChunkAttr = "graph.chunk";

/// On an embedding_grad, a unit: its kernel may add rows by atomics, in any order.
inline constexpr llvm::StringLiteral kAtomicAttr = "graph.atomic";

/// On the function of a kernel of pass `fuse-kernels`: the ops that it holds, for people.
inline constexpr llvm::StringLiteral kHoldsAttr = "graph.holds";

} // namespace deepshard::graph

#endif // DEEPSHARD_DIALECTS_GRAPH_KERNELATTRS_H
