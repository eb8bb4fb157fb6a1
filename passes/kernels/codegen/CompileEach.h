//===- CompileEach.h - kernels through a compiler, side by side -------------------------------===//

#ifndef DEEPSHARD_PASSES_KERNELS_CODEGEN_COMPILEEACH_H
#define DEEPSHARD_PASSES_KERNELS_CODEGEN_COMPILEEACH_H

#include "passes/kernels/codegen/Compile.h"

#include "llvm/Support/Error.h"

#include <functional>
#include <vector>

namespace deepshard {

/// Makes an object of the text of a kernel's module.
using KernelCompiler = std::function<llvm::Expected<std::string>(llvm::StringRef text)>;

/// The objects of the kernels, one for every name, in the order of the first of each. What the
/// cache does not have goes through compilers, of which every thread makes one. `level` is what the
/// objects depend on besides the texts. Fails with a diagnostic for each kernel that fails.
llvm::FailureOr<std::vector<std::string>>
compileEach(llvm::ArrayRef<KernelSource> kernels, llvm::StringRef level,
            const CompileEachOptions &options, llvm::function_ref<KernelCompiler()> makeCompiler);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_KERNELS_CODEGEN_COMPILEEACH_H
