//===- Pipeline.cpp - from the partitioned step to the program of a rank ----------------------===//

#include "passes/plan/Pipeline.h"

#include "dialects/plan/Plan.h"
#include "passes/kernels/Passes.h"
#include "passes/kernels/codegen/CompileGpu.h"
#include "passes/memory/Passes.h"
#include "passes/plan/Passes.h"
#include "passes/simplify/Passes.h"
#include "runtime/plan/plan.pb.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace deepshard {

void buildLaunchPipeline(OpPassManager &passes, const PlanPipelineOptions &options) {
  passes.addNestedPass<func::FuncOp>(createJoinPadsPass());
  passes.addNestedPass<func::FuncOp>(createSplitElementwisePass());
  passes.addNestedPass<func::FuncOp>(createFuseCrossEntropyPass());
  if (!options.isGpu)
    passes.addNestedPass<func::FuncOp>(createWidenProductsPass({options.cpuLevel}));
  ChooseKernelsPassOptions kernels;
  kernels.threads = options.threads;
  kernels.isGpu = options.isGpu;
  kernels.useAtomics = options.useAtomics;
  kernels.providers.assign(options.providers.begin(), options.providers.end());
  passes.addPass(createChooseKernelsPass(kernels));
  // Decompositions of neighbours share constants and conversions, and leave results that nobody
  // reads.
  passes.addPass(createCSEPass());
  passes.addNestedPass<func::FuncOp>(createRepeatConversionsPass());
  passes.addNestedPass<func::FuncOp>(createFuseAccumulationPass({options.threads}));
  passes.addPass(createFuseKernelsPass({options.threads}));
  LowerToPlanPassOptions lowering;
  lowering.threads = options.threads;
  lowering.isGpu = options.isGpu;
  lowering.overlap = options.overlap;
  passes.addPass(createLowerToPlanPass(lowering));
  passes.addNestedPass<plan::ProgramOp>(createSynchronizeStreamsPass());
  passes.addNestedPass<plan::ProgramOp>(createReuseInputsPass());
  passes.addNestedPass<plan::ProgramOp>(createPackBuffersPass());
}

void buildPlanPipeline(OpPassManager &passes, const PlanPipelineOptions &options) {
  buildLaunchPipeline(passes, options);
  GenerateKernelsPassOptions codegen;
  codegen.threads = options.threads;
  codegen.cpuLevel = options.cpuLevel;
  codegen.isGpu = options.isGpu;
  passes.addPass(createGenerateKernelsPass(codegen));
}

/// What the pipeline emitted.
static std::vector<KernelSource> kernelsOf(ModuleOp module) {
  std::vector<KernelSource> sources;
  if (auto kernels = module.lookupSymbol<ModuleOp>("kernels"))
    for (auto kernel : kernels.getOps<ModuleOp>())
      sources.push_back({kernel.getName()->str(), kernel});
  return sources;
}

LogicalResult compileCode(ModuleOp module, StringRef cpuLevel, const std::string &cacheDirectory,
                          planpb::Plan &plan) {
  std::vector<KernelSource> sources = kernelsOf(module);
  if (sources.empty())
    return success();
  CodegenOptions options;
  options.cpuLevel = cpuLevel.str();
  options.cacheDirectory = cacheDirectory;
  FailureOr<std::string> object = compileKernels(sources, options);
  if (failed(object))
    return failure();
  plan.set_code(std::move(*object));
  return success();
}

LogicalResult compileGpuCode(ModuleOp module, const std::string &chip,
                             const std::string &cacheDirectory, planpb::Plan &plan, int threads) {
  plan.set_backend(planpb::CUDA);
  GpuCodegenOptions options;
  options.chip = chip;
  options.assembler = findGpuAssembler();
  options.cacheDirectory = cacheDirectory;
  options.threads = threads;
  FailureOr<GpuCode> code = compileGpuKernels(kernelsOf(module), options);
  if (failed(code))
    return failure();
  auto add = [&](std::string target, std::string image) {
    if (image.empty())
      return;
    planpb::DeviceCode &entry = *plan.add_device_code();
    entry.set_target(std::move(target));
    entry.set_image(std::move(image));
  };
  add(chip, std::move(code->cubin));
  add("compute" + chip.substr(chip.find('_')), std::move(code->ptx));
  return success();
}

} // namespace deepshard
