//===- Pipeline.cpp - from the partitioned step to the program of a rank ----------------------===//

#include "passes/plan/Pipeline.h"

#include "dialects/plan/Plan.h"
#include "passes/kernels/Passes.h"
#include "passes/kernels/codegen/Compile.h"
#include "passes/memory/Passes.h"
#include "passes/plan/Passes.h"
#include "passes/simplify/Passes.h"
#include "runtime/plan/plan.pb.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace deepshard {

void buildPlanPipeline(OpPassManager &passes, const PlanPipelineOptions &options) {
  passes.addNestedPass<func::FuncOp>(createJoinPadsPass());
  passes.addNestedPass<func::FuncOp>(createSplitElementwisePass());
  ChooseKernelsPassOptions kernels;
  kernels.threads = options.threads;
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
  lowering.overlap = options.overlap;
  passes.addPass(createLowerToPlanPass(lowering));
  passes.addNestedPass<plan::ProgramOp>(createSynchronizeStreamsPass());
  passes.addNestedPass<plan::ProgramOp>(createReuseInputsPass());
  passes.addNestedPass<plan::ProgramOp>(createPackBuffersPass());
  GenerateKernelsPassOptions codegen;
  codegen.threads = options.threads;
  codegen.cpuLevel = options.cpuLevel;
  passes.addPass(createGenerateKernelsPass(codegen));
}

LogicalResult compileCode(ModuleOp module, StringRef cpuLevel, const std::string &cacheDirectory,
                          planpb::Plan &plan) {
  std::vector<KernelSource> sources;
  if (auto kernels = module.lookupSymbol<ModuleOp>("kernels"))
    for (auto kernel : kernels.getOps<ModuleOp>())
      sources.push_back({kernel.getName()->str(), kernel});
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

} // namespace deepshard
