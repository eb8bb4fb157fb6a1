//===- Ptx.h - device IR becomes PTX ----------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_KERNELS_CODEGEN_PTX_H
#define DEEPSHARD_PASSES_KERNELS_CODEGEN_PTX_H

#include "runtime/kernels/cuda/GpuDescription.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <string>

namespace llvm {
class Module;
class TargetMachine;
} // namespace llvm

namespace deepshard {

/// Compiles device IR for one chip. One thread at a time.
class PtxCompiler {
public:
  /// `chip` is one of kGpuChips.
  explicit PtxCompiler(llvm::StringRef chip);
  ~PtxCompiler();

  /// O3 for the chip; what the code is made from, and tests run.
  void optimise(llvm::Module &module);
  /// The text, for an optimised module. Fails if it would call a function.
  llvm::Expected<std::string> compile(llvm::Module &module);

private:
  std::unique_ptr<llvm::TargetMachine> machine;
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_KERNELS_CODEGEN_PTX_H
