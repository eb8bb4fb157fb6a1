//===- Ptx.cpp - device IR becomes PTX --------------------------------------------------------===//

#include "passes/kernels/codegen/Ptx.h"

#include "llvm/Analysis/TargetTransformInfo.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/TargetParser/Triple.h"

using namespace llvm;

namespace deepshard {

static const char *const kTriple = "nvptx64-nvidia-cuda";

static const Target &nvptxTarget() {
  static const Target *target = [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
    std::string error;
    return TargetRegistry::lookupTarget(Triple(kTriple), error);
  }();
  return *target;
}

PtxCompiler::PtxCompiler(StringRef chip) {
  // The least version of PTX that knows the chip, so that older drivers take it.
  machine.reset(nvptxTarget().createTargetMachine(Triple(kTriple), chip, /*Features=*/"",
                                                  TargetOptions(), Reloc::PIC_, std::nullopt,
                                                  CodeGenOptLevel::Aggressive));
}

PtxCompiler::~PtxCompiler() = default;

void PtxCompiler::optimise(Module &module) {
  module.setTargetTriple(machine->getTargetTriple());
  module.setDataLayout(machine->createDataLayout());
  LoopAnalysisManager loops;
  FunctionAnalysisManager functions;
  CGSCCAnalysisManager components;
  ModuleAnalysisManager modules;
  PassBuilder builder(machine.get());
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  builder.buildPerModuleDefaultPipeline(OptimizationLevel::O3).run(module, modules);
}

static Error requireNoCall(const Module &module) {
  std::string names;
  for (const Function &function : module)
    if (function.isDeclaration() && !function.isIntrinsic() && !function.use_empty())
      names += (names.empty() ? "" : ", ") + function.getName().str();
  if (names.empty())
    return Error::success();
  return createStringError("its code calls " + names +
                           ", but a kernel can call nothing: what it computes needs an expansion "
                           "into arithmetic");
}

Expected<std::string> PtxCompiler::compile(Module &module) {
  if (Error error = requireNoCall(module))
    return error;
  SmallVector<char> bytes;
  raw_svector_ostream stream(bytes);
  legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, stream, nullptr, CodeGenFileType::AssemblyFile))
    return createStringError("LLVM was built without code generation for NVIDIA GPUs");
  passes.run(module);
  return std::string(bytes.data(), bytes.size());
}

} // namespace deepshard
