//===- CompileGpu.h - kernels in the gpu dialect become code for NVIDIA GPUs ------------------===//
//
// A kernel's module holds one gpu.module, whose kernels are functions of pointers to global memory,
// written in the dialects gpu, scf, cf, arith, math, vector (one dimension), ub and llvm. As on the
// CPU, what is compiled depends on the printed module alone.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_KERNELS_CODEGEN_COMPILEGPU_H
#define DEEPSHARD_PASSES_KERNELS_CODEGEN_COMPILEGPU_H

#include "passes/kernels/codegen/Compile.h"

#include "llvm/Support/Error.h"

#include <vector>

namespace deepshard {

struct GpuCodegenOptions : CompileEachOptions {
  /// The chip: one of kGpuChips (runtime/kernels/cuda/GpuDescription.h).
  std::string chip;
  /// The program ptxas; empty: there will be PTX only.
  std::string assembler;
};

/// What a function needs of a multiprocessor, as ptxas reports it.
struct GpuResources {
  std::string function;
  int64_t registers = 0, spilledBytes = 0, sharedBytes = 0;
};

struct GpuCode {
  /// All kernels in one text, which every driver for the chip can compile when it is loaded.
  std::string ptx;
  /// The same assembled for the chip, and what ptxas said of each function; empty without it.
  std::string cubin;
  std::vector<GpuResources> resources;
};

/// ptxas of the PATH, of $CUDA_PATH or $CUDA_HOME, of /usr/local/cuda, or where this was built;
/// empty: there is none.
std::string findGpuAssembler();

/// Fails with a diagnostic on the module of each kernel that cannot be compiled. No kernels give no
/// code.
llvm::FailureOr<GpuCode> compileGpuKernels(llvm::ArrayRef<KernelSource> kernels,
                                           const GpuCodegenOptions &options);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_KERNELS_CODEGEN_COMPILEGPU_H
