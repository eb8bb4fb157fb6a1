//===- Lower.cpp - a kernel's functions become LLVM IR ----------------------------------------===//

#include "passes/kernels/codegen/Lower.h"

#include "passes/kernels/codegen/Passes.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVMPass.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/UBToLLVM/UBToLLVM.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/GPU/GPUToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"

using namespace mlir;

namespace deepshard {

static DialectRegistry kernelDialects() {
  DialectRegistry registry;
  registry.insert<arith::ArithDialect, cf::ControlFlowDialect, func::FuncDialect, gpu::GPUDialect,
                  LLVM::LLVMDialect, math::MathDialect, NVVM::NVVMDialect, scf::SCFDialect,
                  ub::UBDialect, vector::VectorDialect>();
  registerBuiltinDialectTranslation(registry);
  registerGPUDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  registerNVVMDialectTranslation(registry);
  return registry;
}

static void buildLoweringPipeline(OpPassManager &passes) {
  passes.addPass(createExpandMathPass());
  // What the functions of f32 have in common, and constants.
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
  passes.addPass(createSCFToControlFlowPass());
  // Sums across a vector are reassociated where the source allows it, not everywhere.
  passes.addPass(createConvertVectorToLLVMPass());
  passes.addPass(createConvertMathToLLVMPass());
  passes.addPass(createArithToLLVMConversionPass());
  passes.addPass(createConvertControlFlowToLLVMPass());
  passes.addPass(createConvertFuncToLLVMPass());
  passes.addPass(createUBToLLVMConversionPass());
  passes.addPass(createReconcileUnrealizedCastsPass());
}

/// Loops and functions of f32 first, then what is left at once.
static void buildGpuLoweringPipeline(OpPassManager &module) {
  OpPassManager &passes = module.nest<gpu::GPUModuleOp>();
  passes.addPass(createExpandMathPass({/*isGpu=*/true}));
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
  passes.addPass(createSCFToControlFlowPass());
  passes.addPass(createConvertVectorToLLVMPass());
  passes.addPass(createLowerGpuPass());
  passes.addPass(createReconcileUnrealizedCastsPass());
}

struct Lowering::Impl {
  explicit Impl(Target target)
      : target(target), context(kernelDialects(), MLIRContext::Threading::DISABLED),
        passes(&context) {
    context.loadAllAvailableDialects();
    context.printOpOnDiagnostic(false);
    if (target == Target::GPU)
      buildGpuLoweringPipeline(passes);
    else
      buildLoweringPipeline(passes);
  }

  Target target;
  MLIRContext context;
  PassManager passes;
};

Lowering::Lowering(Target target) : impl(std::make_unique<Impl>(target)) {}
Lowering::~Lowering() = default;

llvm::Expected<std::unique_ptr<llvm::Module>> Lowering::lower(StringRef source,
                                                              llvm::LLVMContext &context) {
  std::string messages;
  ScopedDiagnosticHandler handler(&impl->context, [&](Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() == DiagnosticSeverity::Error)
      messages += (messages.empty() ? "" : "; ") + diagnostic.str();
    return success();
  });
  auto failed = [&] { return llvm::createStringError(messages); };
  OwningOpRef<ModuleOp> module =
      parseSourceString<ModuleOp>(source, ParserConfig(&impl->context), "kernel");
  if (!module || mlir::failed(impl->passes.run(*module)))
    return failed();
  Operation *functions = *module;
  if (impl->target == Target::GPU)
    functions = *module->getOps<gpu::GPUModuleOp>().begin();
  std::unique_ptr<llvm::Module> result = translateModuleToLLVMIR(functions, context, "kernel");
  if (!result)
    return failed();
  return result;
}

} // namespace deepshard
