//===- Object.h - LLVM IR becomes an object file ----------------------------------------------===//

#ifndef DEEPSHARD_PASSES_KERNELS_CODEGEN_OBJECT_H
#define DEEPSHARD_PASSES_KERNELS_CODEGEN_OBJECT_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <string>

namespace llvm {
class Module;
class TargetMachine;
} // namespace llvm

namespace deepshard {

/// Optimises and compiles for one CPU level. One thread at a time.
class ObjectCompiler {
public:
  /// `cpuLevel` is one of runtime/kernels/CpuLevel.h.
  explicit ObjectCompiler(llvm::StringRef cpuLevel);
  ~ObjectCompiler();

  /// A position-independent object for x86-64 Linux with the module's functions. Fails if the
  /// object would need a symbol from elsewhere, naming those.
  llvm::Expected<std::string> compile(llvm::Module &module);

private:
  std::unique_ptr<llvm::TargetMachine> machine;
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_KERNELS_CODEGEN_OBJECT_H
