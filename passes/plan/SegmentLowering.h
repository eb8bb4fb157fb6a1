//===- SegmentLowering.h - one function becomes one segment -----------------------------------===//

#ifndef DEEPSHARD_PASSES_PLAN_SEGMENTLOWERING_H
#define DEEPSHARD_PASSES_PLAN_SEGMENTLOWERING_H

#include "passes/plan/ProgramLowering.h"
#include "runtime/kernels/Kernel.h"

namespace deepshard {

/// State: the place (Strided) of every value seen so far. Invariants: a place is complete once its
/// op has been emitted; no two values that are not views of each other share bytes, except a
/// state's argument and result.
///
/// Steps: (1) results without a place of their own are dropped, dead ops with them; (2) arguments
/// get places; (3) results that can be computed in their own place are noted as destinations, and
/// so are members of packed buckets and the own parts of gathered ones; (4) ops are emitted in
/// order; (5) the other results are copied. O(ops + uses).
class SegmentLowering {
public:
  SegmentLowering(ProgramLowering &program, mlir::func::FuncOp function, plan::SegmentOp segment);
  llvm::LogicalResult run();

private:
  mlir::Operation *terminator() { return function.getBody().front().getTerminator(); }
  void dropResultsWithoutPlace();

  llvm::LogicalResult placeArgument(mlir::BlockArgument argument);
  llvm::LogicalResult placeResults();
  void placePacked(sharding::PackOp pack);
  void placeJoined(graph::ConcatOp concat);
  bool canWriteTo(mlir::Value value, const Strided &place);
  bool canWriteToStrides(mlir::Value value, const Strided &place);
  void aimBehindViews(mlir::Value value, const Strided &place);
  /// Notes that `value` is to be computed in `place` if that is possible; false: it is to be
  /// copied.
  bool aim(mlir::Value value, const Strided &place);
  /// Whether the op that makes `value` may write straight into `place`: an argument that lies there
  /// is not read after the op, nor by it unless it works element by element in place.
  bool canComputeIn(mlir::Value value, const Strided &place);
  bool readsEndBefore(mlir::Value value, const Strided &at, mlir::Value result,
                      const Strided &place);
  bool worksInPlace(mlir::Operation *op, mlir::Value operand, mlir::Value result);
  llvm::SmallVector<int64_t> overwritableInputs(mlir::Operation *op);

  llvm::LogicalResult emit(mlir::Operation *op);
  llvm::LogicalResult emitView(mlir::Operation *op);
  llvm::LogicalResult emitLaunch(mlir::Operation *op);
  llvm::LogicalResult emitGenerated(mlir::func::CallOp call);
  void emitPack(sharding::PackOp pack);
  void emitConcat(graph::ConcatOp concat);
  bool isGatherInPlace(mlir::Operation *op, const Strided &input, const Strided &output);
  void emitCollective(mlir::Operation *op);
  void launch(mlir::Operation *op, const runtime::KernelProvider &provider,
              const runtime::KernelSpec &spec, llvm::ArrayRef<Strided> inputs,
              llvm::ArrayRef<Strided> outputs);
  void createLaunch(mlir::Operation *op, llvm::StringRef provider, llvm::StringRef kernel,
                    llvm::ArrayRef<Strided> inputs, llvm::ArrayRef<Strided> outputs,
                    int64_t workspaceBytes, mlir::DictionaryAttr attributes, int64_t flops);
  llvm::SmallVector<Strided> inputPlaces(mlir::Operation *op);
  llvm::SmallVector<Strided> outputPlaces(mlir::Operation *op);
  runtime::KernelSpec specOf(mlir::Operation *op, llvm::ArrayRef<Strided> inputs,
                             llvm::ArrayRef<Strided> outputs);

  Strided allocate(mlir::Operation *op, mlir::RankedTensorType type);
  /// A place for `result`, row-major or in the order of a transpose behind which it is read.
  Strided allocateFor(mlir::Value result);
  Strided contiguousCopy(mlir::Operation *op, const Strided &source);
  void fillZero(mlir::Location location, const Strided &place, llvm::StringRef phase);
  void copy(mlir::Location location, const Strided &from, const Strided &to, llvm::StringRef phase);
  mlir::Value view(mlir::Location location, const Strided &place);

  ProgramLowering &program;
  mlir::func::FuncOp function;
  mlir::OpBuilder tasks;
  llvm::DenseMap<mlir::Operation *, size_t> positions;
  llvm::DenseMap<mlir::Value, Strided> places;
  llvm::DenseMap<mlir::Value, Strided> destinations;
  llvm::DenseMap<mlir::Operation *, Strided> packed; // the places of pack and concat
  llvm::SmallVector<std::pair<mlir::Value, Strided>> copies;
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLAN_SEGMENTLOWERING_H
