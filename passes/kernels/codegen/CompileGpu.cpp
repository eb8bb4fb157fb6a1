//===- CompileGpu.cpp - kernels in the gpu dialect become code for NVIDIA GPUs ----------------===//

#include "passes/kernels/codegen/CompileGpu.h"

#include "passes/kernels/codegen/Assemble.h"
#include "passes/kernels/codegen/CompileEach.h"
#include "passes/kernels/codegen/KernelCache.h"
#include "passes/kernels/codegen/Lower.h"
#include "passes/kernels/codegen/Ptx.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"

#include <memory>

using namespace mlir;

namespace deepshard {

static KernelCompiler makeCompiler(StringRef chip) {
  auto lowering = std::make_shared<Lowering>(Lowering::Target::GPU);
  auto compiler = std::make_shared<PtxCompiler>(chip);
  return [lowering, compiler](StringRef text) -> llvm::Expected<std::string> {
    llvm::LLVMContext context;
    llvm::Expected<std::unique_ptr<llvm::Module>> module = lowering->lower(text, context);
    if (!module)
      return module.takeError();
    compiler->optimise(**module);
    return compiler->compile(**module);
  };
}

/// One text: the lines that say for what it is are those of the first.
static std::string joined(ArrayRef<std::string> texts) {
  constexpr StringLiteral kLastOfHead(".address_size");
  std::string result;
  for (StringRef text : texts) {
    if (!result.empty())
      text = text.substr(text.find('\n', text.find(kLastOfHead)));
    result += text;
  }
  return result;
}

/// ptxas aims at many blocks on a multiprocessor, and rather spills a few registers than gives one
/// up. Functions that spill ask for a block less each. Returns whether there was any that could.
static bool askForRegisters(std::string &ptx, ArrayRef<GpuResources> resources) {
  constexpr StringLiteral kThreads(".maxntid "), kBlocks(".minnctapersm ");
  constexpr int64_t kRegisters = 65536; // of a multiprocessor
  bool hasAsked = false;
  for (const GpuResources &function : resources) {
    const size_t entry = ptx.find(".entry " + function.function + "(");
    const size_t body = ptx.find("\n{", entry), threadsAt = ptx.find(kThreads, entry);
    if (function.spilledBytes == 0 || entry == std::string::npos || threadsAt > body)
      continue;
    auto numberAt = [&](size_t place) { return std::stoll(ptx.substr(place, 20)); };
    int64_t blocks = kRegisters / (numberAt(threadsAt + kThreads.size()) *
                                   std::max<int64_t>(function.registers, 1));
    const size_t blocksAt = ptx.find(kBlocks, entry);
    const bool hasAskedBefore = blocksAt < body;
    if (hasAskedBefore)
      blocks = numberAt(blocksAt + kBlocks.size());
    if (blocks <= 1)
      continue;
    if (hasAskedBefore)
      ptx.erase(blocksAt, ptx.find('\n', blocksAt) + 1 - blocksAt);
    ptx.insert(ptx.find('\n', threadsAt) + 1, (kBlocks + llvm::Twine(blocks - 1) + "\n").str());
    hasAsked = true;
  }
  return hasAsked;
}

FailureOr<GpuCode> compileGpuKernels(ArrayRef<KernelSource> kernels,
                                     const GpuCodegenOptions &options) {
  GpuCode code;
  if (kernels.empty())
    return code;
  ModuleOp first = kernels.front().module;
  if (!llvm::is_contained(runtime::kGpuChips, options.chip))
    return first.emitError() << "there is no code generation for the GPU \"" << options.chip
                             << "\"; there is for "
                             << llvm::join(ArrayRef(runtime::kGpuChips), ", ");
  FailureOr<std::vector<std::string>> texts =
      compileEach(kernels, options.chip, options, [&] { return makeCompiler(options.chip); });
  if (failed(texts))
    return failure();
  code.ptx = joined(*texts);
  if (options.assembler.empty())
    return code;
  do {
    llvm::Expected<Assembled> assembled =
        assemble(code.ptx, options.chip, options.assembler, options.cacheDirectory);
    if (!assembled)
      return first.emitError() << llvm::toString(assembled.takeError());
    code.cubin = std::move(assembled->cubin);
    code.resources = parseResources(assembled->messages);
  } while (askForRegisters(code.ptx, code.resources));
  return code;
}

} // namespace deepshard
