//===- ChunkAttr.h - which chunk of the rows an op computes ----------------------------------===//

#ifndef DEEPSHARD_DIALECTS_GRAPH_CHUNKATTR_H
#define DEEPSHARD_DIALECTS_GRAPH_CHUNKATTR_H

#include "llvm/ADT/StringRef.h"

namespace deepshard::graph {

/// On an op of pass `chunk-rows`: the chunk, from 0 on. Ops of different chunks share no kernel,
/// else their large values would live at the same time again.
inline constexpr llvm::StringLiteral kChunkAttr = "graph.chunk";

} // namespace deepshard::graph

#endif // DEEPSHARD_DIALECTS_GRAPH_CHUNKATTR_H
