//===- Lower.h - a kernel's functions become LLVM IR ------------------------------------------===//

#ifndef DEEPSHARD_PASSES_KERNELS_CODEGEN_LOWER_H
#define DEEPSHARD_PASSES_KERNELS_CODEGEN_LOWER_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <memory>

namespace llvm {
class LLVMContext;
class Module;
} // namespace llvm

namespace deepshard {

/// Lowers kernels from the text of their modules to LLVM IR. It has an MLIR context of its own, so
/// that several may work at once and what is compiled is what was printed. One thread at a time.
class Lowering {
public:
  enum class Target { CPU, GPU };

  explicit Lowering(Target target = Target::CPU);
  ~Lowering();

  /// The functions of the module `source`; for a GPU, of the only gpu.module in it. The error holds
  /// what MLIR had to say.
  llvm::Expected<std::unique_ptr<llvm::Module>> lower(llvm::StringRef source,
                                                      llvm::LLVMContext &context);

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_KERNELS_CODEGEN_LOWER_H
