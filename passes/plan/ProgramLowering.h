//===- ProgramLowering.h - what outlives a segment --------------------------------------------===//
//
// Owns the buffers that more than one segment or step sees: buckets, states, run state, metrics,
// constants, tensors of the model. Each has one place, found by name.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_PLAN_PROGRAMLOWERING_H
#define DEEPSHARD_PASSES_PLAN_PROGRAMLOWERING_H

#include "passes/kernels/ProviderCache.h"
#include "passes/kernels/rowloops/RowKernel.h"
#include "passes/plan/Strided.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringMap.h"

namespace deepshard {

/// Bytes of a buffer for a value of `type`; a value without elements still gets one.
int64_t bufferBytes(mlir::RankedTensorType type);

/// A row-major value of `type` at byte `offset` of `buffer`.
Strided contiguousPlace(mlir::Value buffer, mlir::RankedTensorType type, int64_t offset = 0);

class ProgramLowering {
public:
  /// `program` has its (empty) segments already; buffers go before the first of them, tables behind
  /// the last.
  /// Collectives run on the last stream of the program.
  /// `isGpu`: its kernels run on GPUs.
  ProgramLowering(plan::ProgramOp program, int threads, bool isGpu, sharding::MeshOp mesh);

  mlir::Value createBuffer(mlir::Location location, llvm::StringRef name, plan::Lifetime lifetime,
                           int64_t bytes, mlir::ElementsAttr constant = {});

  /// Declares the buckets that are arguments or results of a function.
  llvm::LogicalResult declareBuckets(mlir::func::FuncOp function);

  /// The bucket or the member of a bucket that the attributes of an argument or result name;
  /// nothing if they name none.
  mlir::FailureOr<std::optional<Strided>> bucketPlace(mlir::Location location,
                                                      mlir::DictionaryAttr attributes,
                                                      mlir::RankedTensorType type);

  /// A value of one step known by name (an accumulated loss, a metric).
  Strided stepValue(mlir::Location location, llvm::StringRef name, mlir::RankedTensorType type);
  Strided runState(mlir::Location location, llvm::StringRef name, mlir::RankedTensorType type,
                   sharding::AxisListAttr over = {});
  Strided constant(graph::ConstantOp op);

  void declareMetric(mlir::Location location, llvm::StringRef name, const Strided &place);
  /// Declares the tensor of the model that an argument of type `type` with these attributes is: a
  /// member of a bucket.
  void declareParameter(mlir::Location location, mlir::DictionaryAttr attributes,
                        mlir::RankedTensorType type);
  /// A bucket of its own for a tensor of the model that is in none, and its parameter.
  Strided ownBucket(mlir::Location location, mlir::DictionaryAttr attributes,
                    mlir::RankedTensorType type);

  /// Zeroes `place` at the start of a step; a member of a bucket stands for the whole bucket.
  void zeroAtStart(const Strided &place);
  /// A segment computes this value into a member of a bucket of the step.
  void notePart(const Strided &place) { parts.push_back(place); }
  /// What no member covers of the step's buckets, but for accumulators: zeroes belong there, so
  /// that whole buckets can be read. Call it when all segments are lowered.
  llvm::SmallVector<Strided> padding() const;
  llvm::ArrayRef<Strided> getAccumulators() const { return accumulators; }

  /// Other ranks reach into the buffer.
  static void shareBuffer(mlir::Value buffer) {
    buffer.getDefiningOp<plan::BufferOp>().setWindow(true);
  }
  /// The place of the next collective in the order of all communicators.
  int64_t nextSequence() { return sequence++; }
  int64_t communicationStream() { return program.getStreams().size() - 1; }

  int getThreads() const { return threads; }
  bool isForGpu() const { return isGpu; }
  /// The loops of the group that `call` calls.
  const RowLoops &rowLoops(mlir::func::CallOp call);

  struct GeneratedKernel {
    int64_t workspaceBytes, flops;
  };
  /// The kernel of that group on operands of these strides; nothing if no row loops fit them.
  /// `alignments` of the operands, inputs before outputs, matter on a GPU; empty: as buffers are.
  const std::optional<GeneratedKernel> &generated(mlir::func::CallOp call,
                                                  llvm::ArrayRef<Strides> inputs,
                                                  llvm::ArrayRef<Strides> outputs,
                                                  llvm::ArrayRef<int64_t> alignments = {});
  ProviderCache &getProviders() { return providers; }

private:
  Strided createConstant(graph::ConstantOp op);
  llvm::LogicalResult declareBucket(mlir::Location location, mlir::DictionaryAttr attributes,
                                    mlir::RankedTensorType type);
  mlir::ElementsAttr initialLossScale(mlir::RankedTensorType type) const;
  /// `copyBucket`: where a rounded copy lies, at the same offset; empty: there is none.
  void declareTensor(mlir::Location location, llvm::StringRef bucket, llvm::StringRef copyBucket,
                     int64_t offset, mlir::DictionaryAttr attributes, mlir::RankedTensorType type);
  mlir::Value viewAtEnd(const Strided &place);
  void zeroWhole(const Strided &place);

  plan::ProgramOp program;
  int threads;
  bool isGpu;
  sharding::MeshAttr mesh; // null: one rank
  int64_t sequence = 0;
  int64_t ownBuckets = 0;
  mlir::OpBuilder declarations;
  mlir::OpBuilder tables;
  llvm::StringMap<Strided> buckets;
  llvm::StringMap<Strided> stepValues;
  llvm::StringMap<Strided> runStates;
  llvm::DenseMap<mlir::Attribute, Strided> constants;
  llvm::SmallVector<Strided> accumulators;
  llvm::SmallVector<Strided> parts;
  llvm::StringMap<RowLoops> groups;
  llvm::StringMap<std::optional<GeneratedKernel>> kernels; // by callee, strides and alignments
  ProviderCache providers;
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLAN_PROGRAMLOWERING_H
