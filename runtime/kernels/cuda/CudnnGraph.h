//===- CudnnGraph.h - graphs of cuDNN's frontend ----------------------------------------------===//
//
// The frontend is headers that take a minute to compile; only CudnnGraph.cpp includes them.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_CUDNNGRAPH_H
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_CUDNNGRAPH_H

#include "runtime/kernels/cuda/CudnnLibrary.h"
#include "runtime/kernels/cuda/GpuDescription.h"
#include "runtime/kernels/cuda/GraphLibrary.h"
#include "runtime/kernels/cuda/StoredGraph.h"

namespace deepshard::runtime::cuda {

/// For which GPU a graph is built.
struct CudnnTarget {
  GpuDescription gpu;
  cudnnContext *handle = nullptr; ///< of the current GPU; null: graphs are planned, not run
};

/// As GraphLibrary::build. `library` must stay open.
std::unique_ptr<LibraryGraph> buildGraph(const CudnnLibrary &library, const CudnnTarget &target,
                                         const KernelSpec &spec);

/// The same for a plan. Throws `std::invalid_argument` also if it cannot be stored.
StoredGraph storeGraph(const CudnnLibrary &library, const CudnnTarget &target,
                       const KernelSpec &spec);

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_CUDNNGRAPH_H
