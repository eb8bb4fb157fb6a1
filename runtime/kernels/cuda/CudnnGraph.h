//===- CudnnGraph.h - graphs of cuDNN's frontend ----------------------------------------------===//
//
// The frontend is headers that take a minute to compile; only CudnnGraph.cpp includes them.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_CUDNNGRAPH_H
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_CUDNNGRAPH_H

#include "runtime/kernels/cuda/CudnnLibrary.h"
#include "runtime/kernels/cuda/SdpaLibrary.h"

#include <string>

namespace deepshard::runtime::cuda {

/// For which GPU a graph is built.
struct CudnnTarget {
  cudnnContext *handle = nullptr; ///< of the current GPU; null: the one that is described
  int capability = 0;             ///< 90 for sm_90
  /// cuDNN's JSON of a device's properties. Graphs for such a device are planned, not run.
  std::string description;
};

/// As SdpaLibrary::build. `library` must stay open.
std::unique_ptr<SdpaGraph> buildSdpaGraph(const CudnnLibrary &library, const CudnnTarget &target,
                                          const KernelSpec &spec);

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_CUDNNGRAPH_H
