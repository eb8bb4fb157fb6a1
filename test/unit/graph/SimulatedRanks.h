//===- SimulatedRanks.h - runs one op split over ranks, by its sharding rule ------------------===//

#ifndef DEEPSHARD_TEST_UNIT_GRAPH_SIMULATEDRANKS_H
#define DEEPSHARD_TEST_UNIT_GRAPH_SIMULATEDRANKS_H

#include "dialects/graph/HostTensor.h"
#include "dialects/graph/PartitionBuilder.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <vector>

namespace deepshard::graph::test {

/// For each factor of a rule, how many parts it has, or which of them a rank holds.
using PerFactor = llvm::SmallVector<int64_t>;

/// The elements of the whole tensor (row-major indices) that a rank holds, in the order in which it
/// holds them.
std::vector<int64_t> placesOf(const ShardingRule &rule, const TensorFactors &tensor,
                              const PerFactor &parts, const PerFactor &index);

/// Adds `value` to `sum`, or keeps the larger or smaller, element by element.
void combine(HostTensor &sum, const HostTensor &value, ReductionKind kind);

/// The local program of one op, the same for all ranks: a function of the local operands, the
/// indices of parts, and what comes from other ranks, which is exchanged when the program runs.
class SimulatedRanks : public PartitionBuilder {
public:
  /// Splits factor f of `rule` into parts[f] parts.
  SimulatedRanks(mlir::Operation *op, ShardingRule rule, PerFactor parts);

  /// The results of the op on `operands`, computed by all ranks and joined by the rule. Fails with
  /// a reason in `why` if the partition fails, does not verify, cannot be evaluated, or leaves
  /// results that differ where the rule says they are equal.
  mlir::FailureOr<llvm::SmallVector<HostTensor>> run(llvm::ArrayRef<HostTensor> operands);

  std::string why;
  /// Number of elements of each all-reduce.
  llvm::SmallVector<int64_t> reduced;
  int64_t reducedBytes = 0; // of all of them
  /// Bytes of each rotation, as a rank sends them.
  llvm::SmallVector<int64_t> rotated;

  /// How many values that are rotations of operand `index`, or of rotations of it, the local
  /// program has at once at most: from where each is received to its last reader. After `run`.
  int64_t mostHeldOf(unsigned index);

  mlir::OpBuilder &builder() override { return ops; }
  mlir::Location location() const override { return op->getLoc(); }
  const ShardingRule &rule() const override { return theRule; }
  mlir::Value operand(unsigned index) override { return body().getArgument(index); }
  int64_t numParts(unsigned factor) const override { return parts[factor]; }
  mlir::Value partIndex(unsigned factor) override;
  mlir::Value allReduce(mlir::Value value, ReductionKind kind, unsigned factor) override;
  mlir::Value rotate(mlir::Value value, unsigned factor, int64_t by) override;
  void addAfterReduction(unsigned result, mlir::Value value) override;

private:
  /// A reduction over the parts of a factor, or what the rank `by` parts before has.
  struct Exchange {
    mlir::Operation *after; // the op it stands behind; null: at the start
    mlir::Value source, result;
    unsigned factor;
    std::optional<ReductionKind> kind;
    int64_t by = 0;
  };
  struct Rank {
    PerFactor index;
    llvm::DenseMap<mlir::Value, HostTensor> values;
  };

  mlir::Block &body() { return function.getBody().front(); }
  mlir::LogicalResult fail(const std::string &reason);
  mlir::LogicalResult build();
  void createRanks(llvm::ArrayRef<HostTensor> operands);
  mlir::LogicalResult runOps();
  mlir::Value addExchange(Exchange exchange);
  void exchange(const Exchange &exchange);
  void exchangeAfter(mlir::Operation *op);
  mlir::FailureOr<HostTensor> join(unsigned result);
  mlir::LogicalResult addPending(unsigned result, Rank &rank, HostTensor &value);
  /// The ranks whose index differs from that of `rank` in `factor` alone, in ascending order.
  std::vector<Rank *> group(const Rank &rank, unsigned factor);

  mlir::Operation *op;
  ShardingRule theRule;
  PerFactor parts;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  mlir::func::FuncOp function;
  mlir::OpBuilder ops;
  llvm::SmallVector<mlir::Value> results;
  llvm::SmallVector<Exchange> exchanges;
  llvm::SmallVector<std::pair<unsigned, mlir::Value>> pending;
  llvm::SmallDenseMap<unsigned, mlir::Value> indices;
  std::vector<Rank> ranks;
};

} // namespace deepshard::graph::test

#endif // DEEPSHARD_TEST_UNIT_GRAPH_SIMULATEDRANKS_H
