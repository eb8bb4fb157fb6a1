//===- Generated.h - kernels whose device code comes with the plan ----------------------------===//
//
// As on the CPU (../generated/Generated.h) a generated kernel is a list of loops that run one after
// another. Here a loop is a function NAME_i of the device code, which takes the addresses of the
// operands (inputs, outputs, workspace) and nothing else: shapes are in the code. Attributes:
//
//   grid             integers, three a loop: blocks along x, y, z; 0: the loop does nothing
//   block            integers, three a loop: threads of a block
//   shared_bytes     integers, one a loop: dynamic shared memory of a block
//   workspace_bytes  integer; 0: none
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_GENERATED_H
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_GENERATED_H

#include "runtime/device/Cuda.h"
#include "runtime/device/cuda/Module.h"
#include "runtime/device/cuda/Stream.h"
#include "runtime/kernels/Kernel.h"

namespace deepshard::runtime::cuda {

/// The code that a GPU of compute capability `capability` (90 for 9.0) runs: the latest cubin of
/// its major version, or one for exactly this GPU ("sm_90a"); else the latest PTX. Null if it runs
/// none.
const CudaOptions::Code *codeFor(const std::vector<CudaOptions::Code> &codes, int capability);

class GeneratedProvider final : public KernelProvider {
public:
  /// Throws Error if no code is for the current GPU.
  GeneratedProvider(const std::vector<CudaOptions::Code> &codes, Streams &streams);

  std::string_view name() const override { return "generated"; }
  std::optional<std::string> whyNot(const KernelSpec &spec) const override;
  size_t workspaceBytes(const KernelSpec &spec) const override;
  std::unique_ptr<Kernel> prepare(const KernelSpec &spec) const override;

private:
  std::unique_ptr<Module> module;
  Streams &streams;
};

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_GENERATED_H
