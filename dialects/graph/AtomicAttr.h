//===- AtomicAttr.h - sums in any order -------------------------------------------------------===//

#ifndef DEEPSHARD_DIALECTS_GRAPH_ATOMICATTR_H
#define DEEPSHARD_DIALECTS_GRAPH_ATOMICATTR_H

#include "llvm/ADT/StringRef.h"

namespace deepshard::graph {

/// On an embedding_grad, a unit: its kernel may add rows by atomics, in any order.
inline constexpr llvm::StringLiteral kAtomicAttr = "graph.atomic";

} // namespace deepshard::graph

#endif // DEEPSHARD_DIALECTS_GRAPH_ATOMICATTR_H
