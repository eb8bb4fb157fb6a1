//===- ProgramLowering.h - what outlives a segment --------------------------------------------===//
//
// Owns the buffers that more than one segment or step sees: buckets, states, run state, metrics,
// constants, tensors of the model. Each has one place, found by name.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_PLAN_PROGRAMLOWERING_H
#define DEEPSHARD_PASSES_PLAN_PROGRAMLOWERING_H

#include "passes/plan/Strided.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringMap.h"

namespace deepshard {

/// The stream of kernels; the only one of a program for one rank.
inline constexpr int64_t kComputeStream = 0;

/// Bytes of a buffer for a value of `type`; a value without elements still gets one.
int64_t bufferBytes(mlir::RankedTensorType type);

/// A row-major value of `type` at byte `offset` of `buffer`.
Strided contiguousPlace(mlir::Value buffer, mlir::RankedTensorType type, int64_t offset = 0);

class ProgramLowering {
public:
  /// `program` has its (empty) segments already; buffers go before the first of them, tables behind
  /// the last.
  ProgramLowering(plan::ProgramOp program, int threads);

  mlir::Value createBuffer(mlir::Location location, llvm::StringRef name, plan::Lifetime lifetime,
                           int64_t bytes, mlir::ElementsAttr constant = {});

  /// Declares the buckets that are arguments of the update function.
  llvm::LogicalResult declareBuckets(mlir::func::FuncOp update);

  /// The bucket or the member of a bucket that the attributes of an argument or result name;
  /// nothing if they name none.
  mlir::FailureOr<std::optional<Strided>> bucketPlace(mlir::Location location,
                                                      mlir::DictionaryAttr attributes,
                                                      mlir::RankedTensorType type);

  /// A value of one step known by name (an accumulated loss, a metric).
  Strided stepValue(mlir::Location location, llvm::StringRef name, mlir::RankedTensorType type);
  Strided runState(mlir::Location location, llvm::StringRef name, mlir::RankedTensorType type);
  Strided constant(graph::ConstantOp op);

  void declareMetric(mlir::Location location, llvm::StringRef name, const Strided &place);
  void declareParameter(mlir::Location location, llvm::StringRef name, const Strided &place,
                        mlir::DictionaryAttr attributes);

  /// Zeroes `place` at the start of a step; a member of a bucket stands for the whole bucket.
  void zeroAtStart(const Strided &place);
  /// A segment computes this value into a member of a bucket of the step.
  void notePart(const Strided &place) { parts.push_back(place); }
  /// Zeroes what no member covers of the step's buckets, so that whole buckets can be read. Call it
  /// last.
  void zeroPadding();
  llvm::ArrayRef<Strided> getAccumulators() const { return accumulators; }

  int getThreads() const { return threads; }

private:
  Strided createConstant(graph::ConstantOp op);
  mlir::Value viewAtEnd(const Strided &place);
  void zeroWhole(const Strided &place);

  plan::ProgramOp program;
  int threads;
  mlir::OpBuilder declarations;
  mlir::OpBuilder tables;
  llvm::StringMap<Strided> buckets;
  llvm::StringMap<Strided> stepValues;
  llvm::StringMap<Strided> runStates;
  llvm::DenseMap<mlir::Attribute, Strided> constants;
  llvm::SmallVector<Strided> accumulators;
  llvm::SmallVector<Strided> parts;
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLAN_PROGRAMLOWERING_H
