//===- Assemble.h - PTX becomes machine code --------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_KERNELS_CODEGEN_ASSEMBLE_H
#define DEEPSHARD_PASSES_KERNELS_CODEGEN_ASSEMBLE_H

#include "passes/kernels/codegen/CompileGpu.h"

namespace deepshard {

struct Assembled {
  std::string cubin;
  std::string messages; // with -v
};

/// Runs the program `assembler`, NVIDIA's ptxas, on `ptx`, unless `cacheDirectory` (KernelCache.h)
/// has what this program made of the same text before. Fails with what it said, or if no temporary
/// file can be written.
llvm::Expected<Assembled> assemble(llvm::StringRef ptx, llvm::StringRef chip,
                                   llvm::StringRef assembler, const std::string &cacheDirectory);

/// What `ptxas -v` said of each function.
std::vector<GpuResources> parseResources(llvm::StringRef messages);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_KERNELS_CODEGEN_ASSEMBLE_H
