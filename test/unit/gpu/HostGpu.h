//===- HostGpu.h - device IR, run on the host -------------------------------------------------===//
//
// Runs the very LLVM IR that PTX is made from, with its few intrinsics replaced by functions. The
// blocks run one after another, each thread of a block on a stack of its own until it waits: for
// its warp at a shuffle, for the block at a barrier. Whose turn it is, is random. Found are:
// accesses outside of operands (DeviceMemory), shuffles and barriers that not all threads reach,
// barriers that are missing, by the wrong results under some order.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_TEST_UNIT_GPU_HOSTGPU_H
#define DEEPSHARD_TEST_UNIT_GPU_HOSTGPU_H

#include "passes/kernels/gpu/GpuKernel.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <string>

namespace llvm {
class Module;
namespace orc {
class LLJIT;
}
} // namespace llvm

namespace deepshard {

class HostGpu {
public:
  HostGpu();
  ~HostGpu();

  /// Compiles a module of optimised device IR for the host.
  llvm::Error add(const llvm::Module &module);
  /// Runs a function. Returns what went wrong, or nothing.
  std::string run(const GpuFunction &function, llvm::ArrayRef<void *> operands, uint64_t seed);

private:
  std::unique_ptr<llvm::orc::LLJIT> jit;
  int modules = 0;
};

} // namespace deepshard

#endif // DEEPSHARD_TEST_UNIT_GPU_HOSTGPU_H
