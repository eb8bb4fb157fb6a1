//===- GraphLibrary.h - attention and convolutions by a library, as the provider calls it -----===//
//
// What CudnnProvider needs of cuDNN, so that tests run plans with attention and convolutions where
// there is no GPU. libds_cuda.so has cuDNN behind it (CudnnGraph.cpp).
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_GRAPHLIBRARY_H
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_GRAPHLIBRARY_H

#include "runtime/kernels/cuda/GraphCompiler.h"

#include <cuda_runtime_api.h>

#include <memory>
#include <string>

namespace deepshard::runtime::cuda {

/// A kernel of the library, ready to run.
class LibraryGraph {
public:
  virtual ~LibraryGraph() = default;
  virtual uint64_t workspaceBytes() const = 0;
  /// Operands in the order of the spec. Waits for nothing, so that a stream may be captured. Throws
  /// Error.
  virtual void run(const KernelArguments &arguments, cudaStream_t stream) = 0;
};

class GraphLibrary {
public:
  virtual ~GraphLibrary() = default;
  /// "cuDNN 9.19.1".
  virtual std::string version() const = 0;
  /// Equal specs compute equal bits. Throws `std::invalid_argument` if `spec` is neither an
  /// attention that sdpaOf takes (Sdpa.h) nor a convolution that convCall gives (Conv.h), or the
  /// library has no kernel for it on this GPU.
  virtual std::unique_ptr<LibraryGraph> build(const KernelSpec &spec) const = 0;
};

/// Throws Error if a library is missing or does not start; `libraries`: where they are looked for
/// first. `graphs`: the plan's, of which those for this library and GPU are not built again.
std::unique_ptr<GraphLibrary> openGraphLibrary(const std::string &libraries,
                                               std::vector<StoredGraph> graphs);

/// What ../../device/cuda/Entry.cpp gives to those who make plans.
std::unique_ptr<GraphCompiler> makeGraphCompiler(const GraphCompilerOptions &options);

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_GRAPHLIBRARY_H
