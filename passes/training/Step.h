//===- Step.h - what the passes of the phase "training" ask of a module -----------------------===//

#ifndef DEEPSHARD_PASSES_TRAINING_STEP_H
#define DEEPSHARD_PASSES_TRAINING_STEP_H

#include "dialects/graph/Graph.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

namespace deepshard {

/// Values of `graph.phase`.
inline constexpr llvm::StringLiteral kForward = "forward";
inline constexpr llvm::StringLiteral kBackward = "backward";
inline constexpr llvm::StringLiteral kUpdate = "update";

/// Names of the functions of a training program: what is imported, and what runs per micro-batch
/// and per step.
inline constexpr llvm::StringLiteral kForwardName = "forward";
inline constexpr llvm::StringLiteral kMicroBatchName = "micro_batch";
inline constexpr llvm::StringLiteral kUpdateName = "update";
/// Gathers parameters that are cut, once per step.
inline constexpr llvm::StringLiteral kGatherName = "gather";

/// Buckets and their members start at multiples of this many bytes.
inline constexpr int64_t kMemberAlignment = 64;

/// The function @forward with its one block; an error and null if there is none.
mlir::func::FuncOp findForward(mlir::ModuleOp module);

/// `graph.accumulation_steps`, 1 if absent; an error and failure if it is not a positive number.
mlir::FailureOr<int64_t> accumulationSteps(mlir::ModuleOp module);

/// The string `name` of an argument or a result; empty if absent.
llvm::StringRef argumentString(mlir::func::FuncOp function, unsigned index, llvm::StringRef name);
llvm::StringRef resultString(mlir::func::FuncOp function, unsigned index, llvm::StringRef name);

/// The type of the gradient of a parameter: its own, or that of its `graph.master`.
mlir::RankedTensorType gradientType(mlir::func::FuncOp function, mlir::BlockArgument parameter);

/// Whether the function has a result `graph.gradient`.
bool hasGradients(mlir::func::FuncOp function);

/// Elements of a type that make up one step of alignment in a bucket.
int64_t alignmentInElements(mlir::Type elementType);

/// Marks every op that a builder inserts with a phase.
class PhaseListener : public mlir::OpBuilder::Listener {
public:
  explicit PhaseListener(llvm::StringRef phase) : phase(phase) {}
  void notifyOperationInserted(mlir::Operation *op, mlir::OpBuilder::InsertPoint previous) override;

private:
  llvm::StringRef phase;
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_TRAINING_STEP_H
