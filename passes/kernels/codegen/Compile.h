//===- Compile.h - kernels in MLIR become one shared object -----------------------------------===//
//
// A kernel is a list of loops that run one after another, each over its own extent. Loop i of
// kernel NAME is a function of the kernel's module:
//
//   func.func @NAME_i(%operands: !llvm.ptr, %begin: i64, %end: i64, %slot: i64)
//
// `operands` points to an array of pointers: inputs, outputs, then the workspace if the kernel has
// one. The extent is cut into chunks, and the function is called once for each, from any thread:
// `begin` and `end` bound the chunk, `slot` is its number (runtime/kernels/generated/Generated.h
// says how). Functions are written in the dialects func, scf, cf, arith, math, vector (one
// dimension), ub and llvm.
//
// What is compiled depends on the printed module alone: locations are dropped, and fast-math flags
// are those of the source. Equal input gives equal bytes.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_KERNELS_CODEGEN_COMPILE_H
#define DEEPSHARD_PASSES_KERNELS_CODEGEN_COMPILE_H

#include "mlir/IR/BuiltinOps.h"

#include <string>

namespace deepshard {

/// A kernel and the module with its functions. The name stands for the content: of several sources
/// with one name the first is compiled.
struct KernelSource {
  std::string name;
  mlir::ModuleOp module;
};

struct CompileEachOptions {
  /// Threads that compile; 0: one per core.
  int threads = 0;
  /// Where objects of kernels are kept from run to run (KernelCache.h); empty: nowhere.
  std::string cacheDirectory;
};

struct CodegenOptions : CompileEachOptions {
  /// What the machine offers: a level of runtime/kernels/CpuLevel.h.
  std::string cpuLevel;
};

/// Compiles the kernels into one shared object for x86-64 Linux that needs no other library and
/// exports the functions @NAME_i; no kernels give no bytes. Fails with a diagnostic on the module
/// of each kernel that cannot be compiled: it does not lower to LLVM, or its code would call a
/// library (a function of libm without an expansion, memcpy).
llvm::FailureOr<std::string> compileKernels(llvm::ArrayRef<KernelSource> kernels,
                                            const CodegenOptions &options);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_KERNELS_CODEGEN_COMPILE_H
