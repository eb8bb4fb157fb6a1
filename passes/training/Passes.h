//===- Passes.h - from a forward function to the training step --------------------------------===//

#ifndef DEEPSHARD_PASSES_TRAINING_PASSES_H
#define DEEPSHARD_PASSES_TRAINING_PASSES_H

#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassOptions.h"

#include <cstdint>
#include <string>

namespace mlir {
class ModuleOp;
class OpPassManager;
} // namespace mlir

namespace deepshard {

/// Elements of a bucket, unless the user says otherwise: 16 MiB of f32.
inline constexpr int64_t kDefaultBucketSize = 4194304;

#define GEN_PASS_DECL
#include "passes/training/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/training/Passes.h.inc"

/// Options of the phase "training".
struct TrainingOptions : mlir::PassPipelineOptions<TrainingOptions> {
  Option<std::string> loss{*this, "loss",
                           llvm::cl::desc("Name of the output to minimise; default: the only float "
                                          "scalar output")};
  Option<std::string> precision{
      *this, "precision", llvm::cl::desc("f64: every float becomes f64; default: as imported")};
  Option<int64_t> bucketSize{*this, "bucket-size", llvm::cl::desc("Elements of a bucket"),
                             llvm::cl::init(kDefaultBucketSize)};
};

/// Adds the passes that give @forward of a simplified module its gradients, a verify pass last.
void buildGradientPipeline(mlir::OpPassManager &passes, const TrainingOptions &options);

/// Adds the passes that turn a differentiated @forward (of one rank, or a rank's piece of it) into
/// @micro_batch and @update, a verify pass last.
void buildStepPipeline(mlir::OpPassManager &passes, const TrainingOptions &options);

/// Both.
void buildTrainingPipeline(mlir::OpPassManager &passes, const TrainingOptions &options);

/// Makes the pipeline known as `--training`.
void registerTrainingPipeline();

} // namespace deepshard

#endif // DEEPSHARD_PASSES_TRAINING_PASSES_H
