//===- LayoutNetwork.h - the layouts of a function as choices with costs ----------------------===//
//
// Variables of the cost network (CostNetwork.h):
//
//   argument   its layout: what is pinned, else every way to split dimensions of a parameter
//   op         a candidate: axes per factor, how operands must lie, how results come out
//   home       of a value with several readers, or that something is added to once: the layout it
//              is brought to once and that all readers take it from
//
// Costs: an op its arithmetic, shared by the axes that split it (of a causal ring that of the rank
// which all wait for), the memory traffic of what a rank has of its operands and results, and what
// it hands round or reduces inside; a parameter the update of its part and, over the axes that cut
// inputs, the reduction of its gradient and what ZeRO gathers of it; between the variable that
// makes a value and the one that reads it, the collectives from one layout to the other (Reshard.h,
// which the partition emits). So the sum is the time of a step on one rank without overlap, but for
// readers that bring a value from its home to the same further layout: the partition does that
// once, here each of them pays. If traffic is to be least, the bytes of all of these that are
// exchanged come first (Cost.h).
//
// Axes that are not searched stay where propagation from the arguments puts them (FactorChoice.h);
// where attention may split its heads over them or go round, both are candidates.
//
// Ops of one class (OpClass) have the same candidates and costs, values of one type between the
// same lists of layouts the same moves; each is computed once. What is left per op is O(operands).
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_PLANNER_LAYOUTNETWORK_H
#define DEEPSHARD_PASSES_PLANNER_LAYOUTNETWORK_H

#include "passes/planner/LayoutCandidates.h"
#include "passes/planner/MachineModel.h"
#include "passes/sharding/FactorChoice.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringSet.h"

#include <map>
#include <set>

namespace deepshard {

class LayoutNetwork {
public:
  /// `free`: the axes that are searched, in the order of the mesh.
  LayoutNetwork(mlir::func::FuncOp function, mlir::FlatSymbolRefAttr mesh, sharding::MeshAttr grid,
                llvm::ArrayRef<sharding::AxisRefAttr> free, const MachineModel &machine);

  /// Builds variables and costs. Fails, with an error at the op, if one has no sharding rule.
  mlir::LogicalResult build();

  const CostNetwork &costs() const { return network; }
  Objective objective() const { return machine.objective; }

  /// A parameter, its variable and its layout under each choice.
  struct Parameter {
    mlir::BlockArgument argument;
    unsigned variable;
    llvm::ArrayRef<sharding::LayoutAttr> layouts;
  };
  llvm::SmallVector<Parameter> parameters() const;

  /// What is decided, if there is more than one way: where an argument lies, how an op is split, or
  /// where the value of one is kept that has several readers.
  struct Decision {
    mlir::Value value;             // kept; null: an op is split
    mlir::Operation *op = nullptr; // that is split, or makes the value if one does
    unsigned variable = 0;
    llvm::ArrayRef<sharding::LayoutAttr> layouts; // of the value, under each choice
    llvm::ArrayRef<Candidate> candidates;         // of the op
    /// Attention whose sequence is split: the candidates from here on go round, those before split
    /// heads. 0: there is nothing of this to decide.
    size_t rings = 0;
  };
  /// In the order of the program.
  llvm::SmallVector<Decision> decisions() const;

  /// The axes that are searched.
  llvm::ArrayRef<sharding::AxisRefAttr> searched() const { return free; }

  /// What a combination costs, by what the time goes to.
  struct Breakdown {
    Cost compute; // arithmetic and memory traffic of ops
    Cost update;  // of parameters, with the reduction of their gradients
    Cost moves;   // collectives between layouts, and what ops exchange inside
  };
  Breakdown breakdown(const CostNetwork::Solution &solution) const;

  /// Writes a combination down: `sharding.layout` of arguments, `sharding.factors` and
  /// `sharding.layouts` of ops. propagate-layouts keeps them.
  void annotate(llvm::ArrayRef<unsigned> choices);

private:
  /// Equal lists are one.
  using Layouts = const std::vector<sharding::LayoutAttr> *;

  struct ByAddress {
    bool operator()(const std::vector<sharding::LayoutAttr> &a,
                    const std::vector<sharding::LayoutAttr> &b) const {
      return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                          [](sharding::LayoutAttr x, sharding::LayoutAttr y) {
                                            return x.getAsOpaquePointer() < y.getAsOpaquePointer();
                                          });
    }
  };

  /// What makes a value, or its home: a variable and the layout under each choice.
  struct Source {
    unsigned variable = 0;
    Layouts layouts = nullptr;
    std::optional<CostStore::Id> update = std::nullopt; // of parameters
  };
  /// What ops that differ in nothing that matters here have in common.
  struct OpClass {
    llvm::SmallVector<Candidate> candidates;
    CostStore::Id costs = 0;                              // arithmetic and memory traffic
    CostStore::Id inner = 0;                              // what it exchanges inside
    llvm::SmallVector<Layouts> operands, results;         // under each candidate
    llvm::SmallVector<sharding::LayoutAttr> fixedResults; // without the free axes
    size_t rings = 0;         // candidates before these split heads, if there are others
    bool mustBeWhole = false; // results, where they are read: something is added to them once
    std::string refused;      // FactorChoice::refused
  };
  struct OpChoices {
    unsigned variable = 0;
    const OpClass *kind = nullptr;
  };

  void addArgument(mlir::BlockArgument argument);
  mlir::LogicalResult addOp(mlir::Operation *op);
  const OpClass *classOf(mlir::Operation *op);
  llvm::SmallVector<ReaderWish> readersOf(mlir::Operation *op,
                                          const graph::ShardingRule &rule) const;
  Cost computeCost(mlir::Operation *op, const Candidate &candidate) const;
  OpClass makeClass(mlir::Operation *op, graph::ShardingRuleOpInterface ruled);
  void addHome(mlir::Value value, const Source &made, bool mustBeWhole);
  void connectUses();
  void connectResult(mlir::OpOperand &returned);
  void connectGradient(mlir::Value value, const Source &from, const Source &parameter);
  /// The cost of moving `value` for every pair of choices.
  void connect(mlir::Value value, const Source &from, unsigned to, Layouts layouts);
  void addCostsOf(unsigned a, unsigned b, CostStore::Id costs);
  Cost moveCost(mlir::RankedTensorType type, sharding::LayoutAttr from, sharding::LayoutAttr to);
  std::vector<sharding::LayoutAttr> layoutsOf(mlir::BlockArgument argument);
  Cost perStep(Cost cost, int64_t times) const;
  Cost reductionCost(mlir::BlockArgument parameter, int64_t bytes) const;
  Cost updateCost(mlir::BlockArgument parameter, sharding::LayoutAttr layout) const;
  sharding::LayoutAttr withoutFree(sharding::LayoutAttr layout) const;
  Layouts intern(std::vector<sharding::LayoutAttr> layouts);

  mlir::func::FuncOp function;
  mlir::FlatSymbolRefAttr mesh;
  sharding::MeshAttr grid;
  Axes free;
  MachineModel machine;
  CostNetwork network;
  Axes batch; // axes that cut inputs
  int64_t microBatches = 1;
  sharding::ZeroAttr zero;                                 // null: stage 0
  llvm::DenseMap<mlir::Value, sharding::LayoutAttr> fixed; // layouts without the free axes
  llvm::MapVector<mlir::Value, Source> made, homes;
  llvm::MapVector<mlir::Operation *, OpChoices> ops;

  llvm::StringSet<> refused; // why ops cannot be split as asked

  using Key = llvm::SmallVector<const void *>;
  std::map<Key, OpClass> classes;
  std::set<std::vector<sharding::LayoutAttr>, ByAddress> lists;
  std::map<Key, Layouts> homeLists;
  std::map<Key, CostStore::Id> moveTables;
  llvm::DenseMap<std::tuple<mlir::Type, mlir::Attribute, mlir::Attribute>, Cost> moves;
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLANNER_LAYOUTNETWORK_H
