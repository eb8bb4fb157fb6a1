//===- Assemble.h - PTX becomes machine code --------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_KERNELS_CODEGEN_ASSEMBLE_H
#define DEEPSHARD_PASSES_KERNELS_CODEGEN_ASSEMBLE_H

#include "passes/kernels/codegen/CompileGpu.h"

namespace deepshard {

struct Assembled {
  std::string cubin;
  std::vector<GpuResources> resources;
};

/// Runs the program `assembler`, NVIDIA's ptxas, on `ptx`. Fails with what it said, or if no
/// temporary file can be written.
llvm::Expected<Assembled> assemble(llvm::StringRef ptx, llvm::StringRef chip,
                                   llvm::StringRef assembler);

/// What `ptxas -v` said of each function.
std::vector<GpuResources> parseResources(llvm::StringRef messages);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_KERNELS_CODEGEN_ASSEMBLE_H
