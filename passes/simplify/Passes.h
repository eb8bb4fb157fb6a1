//===- Passes.h - from what an importer emits to what the rest of the compiler reads ----------===//

#ifndef DEEPSHARD_PASSES_SIMPLIFY_PASSES_H
#define DEEPSHARD_PASSES_SIMPLIFY_PASSES_H

#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassOptions.h"

namespace mlir {
class OpPassManager;
} // namespace mlir

namespace deepshard {

#define GEN_PASS_DECL
#include "passes/simplify/Passes.h.inc"

/// Options of the simplify phase.
struct SimplifyPipelineOptions : mlir::PassPipelineOptions<SimplifyPipelineOptions> {
  Option<int64_t> maxBytes{
      *this, "max-bytes",
      llvm::cl::desc("Size of the largest tensor that constant folding computes, in bytes"),
      llvm::cl::init(int64_t{64} << 20)};
};

/// The simplify phase: verifies what was imported, then folds, removes layout noise and recognises
/// attention and gelu.
void buildSimplifyPipeline(mlir::OpPassManager &manager,
                           const SimplifyPipelineOptions &options = SimplifyPipelineOptions());

#define GEN_PASS_REGISTRATION
#include "passes/simplify/Passes.h.inc"

/// Makes the pipeline known as `--simplify`.
void registerSimplifyPipeline();

} // namespace deepshard

#endif // DEEPSHARD_PASSES_SIMPLIFY_PASSES_H
