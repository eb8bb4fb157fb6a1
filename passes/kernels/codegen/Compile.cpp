//===- Compile.cpp - kernels in MLIR become one shared object ---------------------------------===//
//
// Each kernel goes its own way, text -> LLVM IR -> object. The objects are linked in the order of
// the sources.
//
//===------------------------------------------------------------------------------------------===//

#include "passes/kernels/codegen/Compile.h"

#include "passes/kernels/codegen/CompileEach.h"
#include "passes/kernels/codegen/Link.h"
#include "passes/kernels/codegen/Lower.h"
#include "passes/kernels/codegen/Object.h"

#include "runtime/kernels/CpuLevel.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"

#include <memory>
#include <vector>

using namespace mlir;

namespace deepshard {

static KernelCompiler makeCompiler(StringRef cpuLevel) {
  auto lowering = std::make_shared<Lowering>();
  auto compiler = std::make_shared<ObjectCompiler>(cpuLevel);
  return [lowering, compiler](StringRef text) -> llvm::Expected<std::string> {
    llvm::LLVMContext context;
    llvm::Expected<std::unique_ptr<llvm::Module>> module = lowering->lower(text, context);
    if (!module)
      return module.takeError();
    return compiler->compile(**module);
  };
}

FailureOr<std::string> compileKernels(ArrayRef<KernelSource> kernels,
                                      const CodegenOptions &options) {
  if (kernels.empty())
    return std::string();
  ModuleOp first = kernels.front().module;
  if (!llvm::is_contained(runtime::kCpuLevels, std::string_view(options.cpuLevel)))
    return first.emitError() << "there is no code generation for the CPU level \""
                             << options.cpuLevel << "\"; there is for "
                             << llvm::join(runtime::kCpuLevels, ", ");
  FailureOr<std::vector<std::string>> objects = compileEach(
      kernels, options.cpuLevel, options, [&] { return makeCompiler(options.cpuLevel); });
  if (failed(objects))
    return failure();
  llvm::Expected<std::string> linked = linkObjects(*objects);
  if (linked)
    return std::move(*linked);
  return first.emitError() << llvm::toString(linked.takeError());
}

} // namespace deepshard
