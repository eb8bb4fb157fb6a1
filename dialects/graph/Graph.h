//===- Graph.h - the graph dialect ------------------------------------------------------------===//
//
// One logical program, one device, whole tensors. GraphDialect.td documents attributes, the *Ops.td
// files the ops.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_DIALECTS_GRAPH_GRAPH_H
#define DEEPSHARD_DIALECTS_GRAPH_GRAPH_H

#include "dialects/graph/ShardingRule.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace mlir {
class PatternRewriter;
} // namespace mlir

namespace deepshard::graph {

class PartitionBuilder;
class VjpBuilder;

/// The type that sums of elements of `elementType` are kept in: f32 for bf16 and f16, else itself.
mlir::Type accumulationType(mlir::Type elementType);

/// Work of one op: floating-point operations (a multiply-add counts two), bytes read and written.
struct OpCost {
  int64_t flops = 0;
  int64_t bytesRead = 0;
  int64_t bytesWritten = 0;
};

/// One operation per result element; every operand read once, every result written once.
OpCost elementwiseCost(mlir::Operation *op);

/// The inherent attributes of `op` as a dictionary (without operand segment sizes).
mlir::DictionaryAttr inherentAttributes(mlir::Operation *op);

/// Whether the result of `op` is its operand seen in another way, which needs no bytes of its own
/// where strides can express it: reshape, transpose, broadcast, slice.
bool isView(mlir::Operation *op);

/// The default of `partition` of a sharding rule: the op itself on local types.
mlir::FailureOr<llvm::SmallVector<mlir::Value>> partitionByCloning(mlir::Operation *op,
                                                                   PartitionBuilder &partition);

/// Trait: an element of the result depends on one element of each operand, and operands broadcast
/// as NumPy does (MLIR's trait of this name forbids that).
template <typename Op> class Elementwise : public mlir::OpTrait::TraitBase<Op, Elementwise> {};

/// Names of the discardable attributes; GraphDialect.td says what each means.
inline constexpr llvm::StringLiteral kParameterAttr = "graph.parameter";
inline constexpr llvm::StringLiteral kBufferAttr = "graph.buffer";
inline constexpr llvm::StringLiteral kStorageAttr = "graph.storage";
inline constexpr llvm::StringLiteral kAliasesAttr = "graph.aliases";
inline constexpr llvm::StringLiteral kInputAttr = "graph.input";
inline constexpr llvm::StringLiteral kBatchDimensionAttr = "graph.batch_dimension";
inline constexpr llvm::StringLiteral kSequenceDimensionAttr = "graph.sequence_dimension";
inline constexpr llvm::StringLiteral kIndexBoundAttr = "graph.index_bound";
inline constexpr llvm::StringLiteral kIgnoredIndexAttr = "graph.ignored_index";
inline constexpr llvm::StringLiteral kRunStateAttr = "graph.run_state";
inline constexpr llvm::StringLiteral kOutputAttr = "graph.output";
inline constexpr llvm::StringLiteral kGradientAttr = "graph.gradient";
inline constexpr llvm::StringLiteral kMetricAttr = "graph.metric";
inline constexpr llvm::StringLiteral kStateAttr = "graph.state";
inline constexpr llvm::StringLiteral kBucketAttr = "graph.bucket";
inline constexpr llvm::StringLiteral kMemberAttr = "graph.member";
inline constexpr llvm::StringLiteral kCutAttr = "graph.cut";
inline constexpr llvm::StringLiteral kMasterAttr = "graph.master";
inline constexpr llvm::StringLiteral kMembersAttr = "graph.members";
/// In the entries of `graph.members`: the type that the member had as an argument.
inline constexpr llvm::StringLiteral kTypeAttr = "graph.type";
inline constexpr llvm::StringLiteral kPhaseAttr = "graph.phase";
inline constexpr llvm::StringLiteral kProviderAttr = "graph.provider";
inline constexpr llvm::StringLiteral kIdArgumentAttr = "graph.id_argument";
inline constexpr llvm::StringLiteral kRecomputeAttr = "graph.recompute";
inline constexpr llvm::StringLiteral kAccumulationAttr = "graph.accumulation_steps";
inline constexpr llvm::StringLiteral kClippingAttr = "graph.gradient_clipping";
inline constexpr llvm::StringLiteral kOptimizerAttr = "graph.optimizer";
inline constexpr llvm::StringLiteral kMixedPrecisionAttr = "graph.mixed_precision";
inline constexpr llvm::StringLiteral kLossScaleAttr = "graph.loss_scale";

/// Values of `graph.recompute`.
inline constexpr llvm::StringLiteral kRecomputeFull = "full";
inline constexpr llvm::StringLiteral kRecomputeSelective = "selective";

/// Values of `graph.run_state`.
inline constexpr llvm::StringLiteral kRandomCounter = "random_counter";
inline constexpr llvm::StringLiteral kLearningRate = "learning_rate";
inline constexpr llvm::StringLiteral kUpdateStep = "update_step";

/// The kind of the bucket that is the state of `graph.update_loss_scale`; the scale comes first.
inline constexpr llvm::StringLiteral kLossScaleKind = "loss_scale";

} // namespace deepshard::graph

#include "dialects/graph/GraphDialect.h.inc"
#include "dialects/graph/GraphInterfaces.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/graph/GraphAttrs.h.inc"

#define GET_OP_CLASSES
#include "dialects/graph/GraphOps.h.inc"

#endif // DEEPSHARD_DIALECTS_GRAPH_GRAPH_H
