//===- Pipeline.h - from the partitioned step to the program of a rank ------------------------===//

#ifndef DEEPSHARD_PASSES_PLAN_PIPELINE_H
#define DEEPSHARD_PASSES_PLAN_PIPELINE_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"

namespace deepshard::planpb {
class Plan;
} // namespace deepshard::planpb

namespace deepshard {

struct PlanPipelineOptions {
  int threads = 1;         // a rank's
  std::string cpuLevel;    // what the CPU offers (runtime/kernels/CpuLevel.h)
  bool isGpu = false;      // the ranks are GPUs
  bool useAtomics = false; // they may add gradients of embeddings in any order
  bool overlap = true;     // collectives run on a stream of their own
  std::vector<std::string>
      providers; // of kernels, in this order; empty: the default of choose-kernels
};

/// The passes that choose and fuse kernels, lower to tasks and give buffers their places. Kernels
/// that are to be generated are private functions, which launches name.
void buildLaunchPipeline(mlir::OpPassManager &passes, const PlanPipelineOptions &options);
/// The same, and these kernels are emitted.
void buildPlanPipeline(mlir::OpPassManager &passes, const PlanPipelineOptions &options);

/// Compiles what the pipeline emitted (the module @kernels) for the CPU level and puts the code
/// into `plan`. Objects are kept in `cacheDirectory`; empty: nowhere.
llvm::LogicalResult compileCode(mlir::ModuleOp module, llvm::StringRef cpuLevel,
                                const std::string &cacheDirectory, planpb::Plan &plan);

/// The same for GPUs: `chip` is one of kGpuChips ("sm_90"). The plan gets PTX, which later GPUs
/// run too, and, if there is an assembler (findGpuAssembler), a cubin. `threads` compile side by
/// side; 0: one a core.
llvm::LogicalResult compileGpuCode(mlir::ModuleOp module, const std::string &chip,
                                   const std::string &cacheDirectory, planpb::Plan &plan,
                                   int threads = 0);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLAN_PIPELINE_H
