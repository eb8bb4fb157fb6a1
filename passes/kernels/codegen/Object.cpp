//===- Object.cpp - LLVM IR becomes an object file --------------------------------------------===//

#include "passes/kernels/codegen/Object.h"

#include "llvm/Analysis/TargetLibraryInfo.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/TargetParser/Triple.h"

#include <mutex>

using namespace llvm;

namespace deepshard {

static const Target &x86Target() {
  static const Target *target = [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    std::string error;
    return TargetRegistry::lookupTarget(Triple("x86_64-unknown-linux-gnu"), error);
  }();
  return *target;
}

ObjectCompiler::ObjectCompiler(StringRef cpuLevel) {
  StringRef cpu = cpuLevel, features;
  if (cpu.consume_back("-bf16"))
    features = "+avx512bf16";
  machine.reset(x86Target().createTargetMachine(Triple("x86_64-unknown-linux-gnu"), cpu, features,
                                                TargetOptions(), Reloc::PIC_, CodeModel::Small,
                                                CodeGenOptLevel::Default));
}

ObjectCompiler::~ObjectCompiler() = default;

/// Nothing may be turned into a call of a library, and nobody unwinds through a kernel.
static void setAttributes(Module &module) {
  for (Function &function : module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("no-builtins");
    function.addFnAttr(Attribute::NoUnwind);
    // The source chooses the width of its vectors: LLVM would halve those of 512 bits on some CPUs.
    function.addFnAttr("prefer-vector-width", "512");
  }
}

/// O2 without what looks for vectors: kernels are written with them.
static void optimise(Module &module, TargetMachine &machine) {
  LoopAnalysisManager loops;
  FunctionAnalysisManager functions;
  CGSCCAnalysisManager components;
  ModuleAnalysisManager modules;
  PipelineTuningOptions tuning;
  tuning.LoopVectorization = false;
  tuning.SLPVectorization = false;
  PassBuilder builder(&machine, tuning);
  TargetLibraryInfoImpl library(machine.getTargetTriple());
  library.disableAllFunctions();
  functions.registerPass([&] { return TargetLibraryAnalysis(library); });
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  builder.buildPerModuleDefaultPipeline(OptimizationLevel::O2).run(module, modules);
}

static Error requireNoUndefinedSymbol(StringRef object) {
  Expected<std::unique_ptr<object::ObjectFile>> file =
      object::ObjectFile::createELFObjectFile(MemoryBufferRef(object, "kernel"));
  if (!file)
    return file.takeError();
  std::string names;
  for (const object::SymbolRef &symbol : (*file)->symbols()) {
    Expected<uint32_t> flags = symbol.getFlags();
    if (!flags)
      return flags.takeError();
    if (!(*flags & object::SymbolRef::SF_Undefined) ||
        (*flags & object::SymbolRef::SF_FormatSpecific))
      continue;
    Expected<StringRef> name = symbol.getName();
    if (!name)
      return name.takeError();
    names += (names.empty() ? "" : ", ") + name->str();
  }
  if (names.empty())
    return Error::success();
  return createStringError("its code calls " + names +
                           ", but a kernel can call nothing: what it computes needs an expansion "
                           "into arithmetic");
}

Expected<std::string> ObjectCompiler::compile(Module &module) {
  module.setTargetTriple(machine->getTargetTriple());
  module.setDataLayout(machine->createDataLayout());
  setAttributes(module);
  optimise(module, *machine);
  SmallVector<char> bytes;
  raw_svector_ostream stream(bytes);
  legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, stream, nullptr, CodeGenFileType::ObjectFile))
    return createStringError("LLVM was built without code generation for x86-64");
  passes.run(module);
  std::string object(bytes.data(), bytes.size());
  if (Error error = requireNoUndefinedSymbol(object))
    return error;
  return object;
}

} // namespace deepshard
