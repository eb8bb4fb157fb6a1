//===- PartitionedPlan.cpp - the plan of a partitioned step, in memory ------------------------===//

#include "test/unit/sharding/PartitionedPlan.h"

#include "dialects/plan/Plan.h"
#include "passes/plan/Pipeline.h"
#include "passes/plan/Serialize.h"
#include "runtime/kernels/CpuLevel.h"
#include "runtime/plan/PlanFile.h"

#include "mlir/Pass/PassManager.h"

#include <utility>

using namespace mlir;

namespace deepshard::sharding {

FailureOr<planpb::Plan> planPartitioned(ModuleOp module, const PartitionedPlanOptions &options) {
  PassManager passes(module.getContext());
  PlanPipelineOptions pipeline;
  pipeline.cpuLevel = std::string(runtime::cpuLevel());
  pipeline.isGpu = !options.gpu.empty();
  pipeline.overlap = options.overlap;
  int compilers = 0;       // one a core
#ifdef __SANITIZE_THREAD__ // sees only what is compiled with it: oneDNN is not, ...
  if (!pipeline.isGpu)
    pipeline.providers = {"native", "reference"};
  // ... nor is LLVM, and what its first thread initialises for all looks like a race.
  static bool isFirst = true;
  if (pipeline.isGpu && std::exchange(isFirst, false))
    compilers = 1;
#endif
  buildPlanPipeline(passes, pipeline);
  if (failed(passes.run(module)))
    return failure();
  planpb::Plan plan;
  plan.set_format_version(runtime::kPlanFormatVersion);
  plan.set_cpu_level(pipeline.cpuLevel);
  plan.set_threads(1);
  planpb::Training &training = *plan.mutable_training();
  training.set_micro_batch(options.microBatch);
  training.set_accumulation(options.accumulation);
  training.set_global_batch(options.globalBatch);
  training.set_learning_rate(options.learningRate);
  for (auto program : module.getOps<plan::ProgramOp>())
    if (failed(serialize(program, plan)))
      return failure();
  if (failed(pipeline.isGpu
                 ? compileGpuCode(module, options.gpu, /*cacheDirectory=*/"", plan, compilers)
                 : compileCode(module, pipeline.cpuLevel, /*cacheDirectory=*/"", plan)))
    return failure();
  return plan;
}

} // namespace deepshard::sharding
