//===- CudnnStored.h - graphs of a plan, run by cuDNN without its frontend --------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_CUDNNSTORED_H
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_CUDNNSTORED_H

#include "runtime/kernels/cuda/CudnnGraph.h"

namespace deepshard::runtime::cuda {

/// What storeGraph stored. Throws `std::invalid_argument` if cuDNN does not take it on this GPU.
std::unique_ptr<LibraryGraph> loadGraph(const CudnnLibrary &library, const CudnnTarget &target,
                                        const StoredGraph &stored);

/// That of `graphs` which `spec` names, if it is for this library and this GPU and cuDNN takes it;
/// else built.
std::unique_ptr<LibraryGraph> loadOrBuildGraph(const CudnnLibrary &library,
                                               const CudnnTarget &target, const KernelSpec &spec,
                                               const std::vector<StoredGraph> &graphs);

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_CUDNNSTORED_H
