//===- OptMain.cpp - runs passes by name on IR ------------------------------------------------===//

#include "tools/ds-opt/Tool.h"

#include "dialects/graph/Graph.h"
#include "dialects/plan/Plan.h"
#include "dialects/sharding/Sharding.h"
#include "passes/kernels/Passes.h"
#include "passes/kernels/codegen/Passes.h"
#include "passes/memory/Passes.h"
#include "passes/plan/Passes.h"
#include "passes/planner/Passes.h"
#include "passes/sharding/Passes.h"
#include "passes/simplify/Passes.h"
#include "passes/training/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"

namespace deepshard {

void registerDialects(mlir::DialectRegistry &registry) {
  registry.insert<mlir::func::FuncDialect, graph::GraphDialect, plan::PlanDialect,
                  sharding::ShardingDialect>();
}

int runPasses(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registerDialects(registry);
  // Those of kernels.
  registry.insert<mlir::arith::ArithDialect, mlir::gpu::GPUDialect, mlir::LLVM::LLVMDialect,
                  mlir::math::MathDialect, mlir::scf::SCFDialect, mlir::vector::VectorDialect>();
  mlir::registerTransformsPasses();
  registerSimplifyPasses();
  registerSimplifyPipeline();
  registerTrainingPasses();
  registerTrainingPipeline();
  registerShardingPasses();
  registerKernelsPasses();
  registerCodegenPasses();
  registerPlanPasses();
  registerMemoryPasses();
  registerPlannerPasses();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "DeepShard's compiler: passes on IR\n", registry));
}

} // namespace deepshard
