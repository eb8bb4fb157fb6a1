//===- GraphCompiler.h - graphs of cuDNN for GPUs that are only described ---------------------===//
//
// For those who make plans. As all that knows CUDA it is in libds_cuda.so (../../device/Cuda.h).
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_GRAPHCOMPILER_H
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_GRAPHCOMPILER_H

#include "runtime/kernels/cuda/GpuDescription.h"
#include "runtime/kernels/cuda/StoredGraph.h"

#include <memory>

namespace deepshard::runtime {

class GraphCompiler {
public:
  virtual ~GraphCompiler() = default;
  /// Builds what provider "cudnn" would build for `spec` when a plan is loaded. Throws
  /// `std::invalid_argument` if the library has no kernel for it, or none that can be stored.
  virtual StoredGraph build(const KernelSpec &spec) const = 0;
};

struct GraphCompilerOptions {
  GpuDescription gpu;
  std::string libraries; ///< where NVIDIA's are looked for first; may be empty
};

/// Throws Error if libds_cuda.so, cuDNN or a library that it needs is missing.
std::unique_ptr<GraphCompiler> openGraphCompiler(const GraphCompilerOptions &options);

/// The function of libds_cuda.so behind it, as kCudaEntry is behind openCuda.
inline constexpr const char *kGraphCompilerEntry = "deepshardGraphCompiler";
using GraphCompilerEntry = GraphCompiler *(const char *build, const GraphCompilerOptions *options);

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_GRAPHCOMPILER_H
