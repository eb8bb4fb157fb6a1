//===- HoldsAttr.h - what a kernel is called after -------------------------------------------===//

#ifndef DEEPSHARD_DIALECTS_GRAPH_HOLDSATTR_H
#define DEEPSHARD_DIALECTS_GRAPH_HOLDSATTR_H

#include "llvm/ADT/StringRef.h"

namespace deepshard::graph {

/// On the function of a kernel of pass `fuse-kernels`: the ops that it holds, for people.
inline constexpr llvm::StringLiteral kHoldsAttr = "graph.holds";

} // namespace deepshard::graph

#endif // DEEPSHARD_DIALECTS_GRAPH_HOLDSATTR_H
