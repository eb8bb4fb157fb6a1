//===- Pipeline.cpp - the passes of the phase "training" --------------------------------------===//

#include "passes/training/Passes.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

namespace deepshard {

void buildGradientPipeline(mlir::OpPassManager &passes, const TrainingOptions &options) {
  // Before the gradients exist, so that they are built in the precision they are computed in.
  if (!options.precision.empty())
    passes.addPass(createSetPrecision({options.precision}));
  passes.addPass(createMixedPrecision());
  // The gradients, as ops beside the forward ones.
  passes.addPass(createDifferentiate({options.loss}));
  // Rules of neighbours name the same intermediate.
  passes.addPass(mlir::createCSEPass());
  // The border: what the sharding phase relies on.
  passes.addPass(createVerifyDifferentiated());
}

void buildStepPipeline(mlir::OpPassManager &passes, const TrainingOptions &options) {
  // Sums over micro-batches, as state of the function.
  passes.addPass(createAccumulateGradients());
  // Clipping and the optimizer over buckets: the function that runs once per step.
  passes.addPass(createCreateUpdate({options.bucketSize}));
  // The border: what the planner and the lowering rely on.
  passes.addPass(createVerifyDifferentiated());
}

void buildTrainingPipeline(mlir::OpPassManager &passes, const TrainingOptions &options) {
  buildGradientPipeline(passes, options);
  buildStepPipeline(passes, options);
}

void registerTrainingPipeline() {
  mlir::PassPipelineRegistration<TrainingOptions>(
      "training", "From a simplified @forward to the training step: @micro_batch and @update",
      buildTrainingPipeline);
}

} // namespace deepshard
