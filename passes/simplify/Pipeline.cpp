//===- Pipeline.cpp - the simplify phase ------------------------------------------------------===//

#include "passes/simplify/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace deepshard {

void buildSimplifyPipeline(OpPassManager &manager, const SimplifyPipelineOptions &options) {
  // What a frontend got wrong is reported before anything is rewritten.
  manager.addPass(createVerifyImportedPass());
  OpPassManager &program = manager.nest<func::FuncOp>();
  // Every layer computes the same mask and positions: one of each is left to fold, and scores get a
  // single user.
  program.addPass(createCSEPass());
  // Masks, positions and scalars become constants, which the recognitions below read.
  program.addPass(createFoldConstantsPass({options.maxBytes}));
  // Brings products and their operands into the few forms that the recognitions know; folds `x + 0`
  // and the like.
  program.addPass(createSimplifyLayoutPass());
  program.addPass(createRecognizeAttentionPass());
  program.addPass(createRecognizeGeluPass());
  // What the recognitions left of powers becomes products; conversions there and back go.
  program.addPass(createCanonicalizerPass());
  // Recognition leaves transposes and reshapes around attention that meet those of the model.
  program.addPass(createSimplifyLayoutPass());
  // Slices of one projection, constants of one value and layouts that became alike.
  program.addPass(createCSEPass());
  // Before tables are padded or split, which changes what an index outside of them would meet.
  program.addPass(createBoundIndicesPass());
}

void registerSimplifyPipeline() {
  PassPipelineRegistration<SimplifyPipelineOptions>(
      "simplify", "The simplify phase, from verify-imported on", buildSimplifyPipeline);
}

} // namespace deepshard
