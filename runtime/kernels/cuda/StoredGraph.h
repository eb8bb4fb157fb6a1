//===- StoredGraph.h - graphs of cuDNN that were built when a plan was made -------------------===//
//
// LibraryGraph of runtime/plan/plan.proto. A launch names its graph by attribute `graph`.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_STOREDGRAPH_H
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_STOREDGRAPH_H

#include "runtime/kernels/Kernel.h"

#include <string>
#include <vector>

namespace deepshard::runtime {

/// Operands have the numbers 1, 2, ..., inputs before outputs; there are others.
struct StoredGraph {
  struct Scalar {
    int64_t number;
    float value;
  };
  struct Part {
    int64_t number;
    uint64_t offset; ///< in the launch's workspace
  };

  std::string library; ///< "cuDNN 9.19.1"
  std::string gpu;     ///< textOf a GpuDescription
  std::string plan;    ///< cuDNN's JSON of an execution plan
  std::vector<Scalar> scalars;
  std::vector<Part> parts;
  uint64_t workspaceBegin = 0; ///< of the plan's own workspace in the launch's
};

inline constexpr const char *kGraphAttribute = "graph";

/// The graph that `spec` names, if it is for this library and GPU; else null.
inline const StoredGraph *storedFor(const KernelSpec &spec, const std::vector<StoredGraph> &graphs,
                                    const std::string &library, const std::string &gpu) {
  if (!spec.attributes.has(kGraphAttribute))
    return nullptr;
  const auto index = static_cast<size_t>(spec.attributes.integer(kGraphAttribute));
  if (index >= graphs.size() || graphs[index].library != library || graphs[index].gpu != gpu)
    return nullptr;
  return &graphs[index];
}

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_STOREDGRAPH_H
