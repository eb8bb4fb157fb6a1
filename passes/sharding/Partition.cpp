//===- Partition.cpp - from whole tensors to the pieces of a rank -----------------------------===//
//
// State: for every value of the function its local value and the layout in which that lies, and the
// local values it has in other layouts already. Invariant: the local value of v in layout L on rank
// r is the piece that L gives r of v (or its summand).
//
//   op        (1) each operand is moved to the layout that the op's factors ask for (Reshard.h),
//             once per value and layout; (2) the op builds its local ops; (3) results are moved to
//             the layouts they are declared to have, and stay known as they came; what belongs to a
//             result once (a bias whose product is a sum over ranks) is added then
//   return    results are moved to the layouts of the function's results
//
// O(ops) but for the moves.
//
//===------------------------------------------------------------------------------------------===//

#include "dialects/graph/PartitionBuilder.h"
#include "dialects/sharding/Reshard.h"
#include "passes/sharding/Arguments.h"
#include "passes/sharding/OpLayouts.h"
#include "passes/sharding/Passes.h"

#include "llvm/ADT/MapVector.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_PARTITION
#include "passes/sharding/Passes.h.inc"

namespace {

using sharding::GroupAttr;
using sharding::LayoutAttr;

/// Gives every op that is inserted the phase of the op it is made for, and its mark to be computed
/// again in the backward.
class PhaseOf : public OpBuilder::Listener {
public:
  void take(Operation *op) {
    phase = op ? op->getAttr(graph::kPhaseAttr) : Attribute();
    recompute = op ? op->getAttrOfType<StringAttr>(graph::kRecomputeAttr) : StringAttr();
  }

  void notifyOperationInserted(Operation *op, OpBuilder::InsertPoint) override {
    if (phase && !op->hasAttr(graph::kPhaseAttr))
      op->setAttr(graph::kPhaseAttr, phase);
    // The index of a part is a number that lies ready (AxisIndexOp).
    if (recompute && op->getNumOperands() > 0 && (isFull() || !isCollective(op)))
      op->setAttr(graph::kRecomputeAttr, recompute);
  }

private:
  bool isFull() const { return recompute.getValue() == graph::kRecomputeFull; }
  static bool isCollective(Operation *op) {
    return isa<sharding::ShardingDialect>(op->getDialect()) && !isa<sharding::LocalSliceOp>(op);
  }

  Attribute phase;
  StringAttr recompute;
};

/// The local values of one function while it is built.
class LocalFunction {
public:
  LocalFunction(func::FuncOp function, FlatSymbolRefAttr mesh, sharding::MeshAttr grid)
      : function(function), mesh(mesh), grid(grid), builder(function.getContext(), &listener) {}

  LogicalResult run();

  /// `value` in the layout `to`, moved at the insertion point if need be.
  Value inLayout(Value value, LayoutAttr to);
  /// The part of this rank on `axes`, an i64 scalar.
  Value partIndex(Location location, ArrayRef<sharding::AxisRefAttr> axes);
  GroupAttr group(ArrayRef<sharding::AxisRefAttr> axes) { return GroupAttr::get(mesh, axes); }

  func::FuncOp function;
  FlatSymbolRefAttr mesh;
  sharding::MeshAttr grid;
  PhaseOf listener;
  OpBuilder builder;

private:
  LogicalResult partition(Operation *op);
  void define(Value value, Value local, LayoutAttr layout);
  Value summandOf(Location location, Value local, ArrayRef<sharding::AxisRefAttr> axes);
  void finish(func::ReturnOp terminator);

  llvm::DenseMap<Value, std::pair<Value, LayoutAttr>> locals;
  llvm::DenseMap<std::pair<Value, Attribute>, Value> moved;
  llvm::MapVector<Attribute, Value> indices;
};

/// One op as its `partition` sees it.
class OpPartition : public graph::PartitionBuilder {
public:
  OpPartition(LocalFunction &local, Operation *op, const graph::ShardingRule &theRule,
              ArrayRef<Value> operands, ArrayRef<Axes> factors)
      : local(local), op(op), theRule(theRule), operands(operands), factors(factors) {}

  OpBuilder &builder() override { return local.builder; }
  Location location() const override { return op->getLoc(); }
  const graph::ShardingRule &rule() const override { return theRule; }
  Value operand(unsigned index) override { return operands[index]; }
  int64_t numParts(unsigned factor) const override { return local.grid.sizeOf(factors[factor]); }
  Value partIndex(unsigned factor) override {
    return local.partIndex(op->getLoc(), factors[factor]);
  }
  Value allReduce(Value value, graph::ReductionKind kind, unsigned factor) override {
    if (factors[factor].empty())
      return value;
    auto reduction = static_cast<sharding::Reduction>(kind);
    return sharding::AllReduceOp::create(local.builder, op->getLoc(), reduction, value,
                                         local.group(factors[factor]));
  }
  Value rotate(Value value, unsigned factor, int64_t by) override {
    const int64_t parts = numParts(factor);
    SmallVector<int64_t> sources;
    for (int64_t part = 0; part < parts; ++part)
      sources.push_back((part - by + parts) % parts);
    return sharding::PermuteOp::create(local.builder, op->getLoc(), value,
                                       local.group(factors[factor]), sources);
  }
  void addAfterReduction(unsigned result, Value value) override {
    added.push_back({result, value});
  }

  SmallVector<std::pair<unsigned, Value>> added;

private:
  LocalFunction &local;
  Operation *op;
  const graph::ShardingRule &theRule;
  ArrayRef<Value> operands;
  ArrayRef<Axes> factors;
};

void LocalFunction::define(Value value, Value local, LayoutAttr layout) {
  locals[value] = {local, layout};
  moved[{value, layout}] = local;
}

Value LocalFunction::partIndex(Location location, ArrayRef<sharding::AxisRefAttr> axes) {
  GroupAttr key = group(axes);
  Value &index = indices[key];
  if (!index) {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(&function.getBody().front());
    index = sharding::AxisIndexOp::create(builder, location, key);
  }
  return index;
}

/// A summand of `local`, which every rank has: the value itself on part 0 of `axes`, else zeros.
Value LocalFunction::summandOf(Location location, Value local,
                               ArrayRef<sharding::AxisRefAttr> axes) {
  auto type = cast<RankedTensorType>(local.getType());
  auto zeroOf = [&](Type elementType) {
    auto scalar = RankedTensorType::get({}, elementType);
    return graph::ConstantOp::create(
        builder, location, DenseElementsAttr::get(scalar, builder.getZeroAttr(elementType)));
  };
  Value part = partIndex(location, axes);
  Value isFirst =
      graph::CompareOp::create(builder, location, "eq", part, zeroOf(builder.getI64Type()));
  return graph::SelectOp::create(builder, location, isFirst, local, zeroOf(type.getElementType()));
}

Value LocalFunction::inLayout(Value value, LayoutAttr to) {
  if (Value known = moved.lookup({value, to}))
    return known;
  auto [local, from] = locals.lookup(value);
  SmallVector<sharding::AxisRefAttr> missing;
  for (sharding::AxisRefAttr axis : to.getPartialAxes())
    if (!overlap(axis, from.getPartialAxes()))
      missing.push_back(axis);
  Value result;
  if (missing.empty())
    result = sharding::emitReshard(builder, value.getLoc(), local, from, to, grid);
  else // What is whole becomes summands last.
    result = summandOf(value.getLoc(), inLayout(value, to.withPartial(from.getPartial())), missing);
  return moved[{value, to}] = result;
}

LogicalResult LocalFunction::partition(Operation *op) {
  builder.setInsertionPoint(op);
  listener.take(op);
  if (auto constraint = dyn_cast<sharding::ConstraintOp>(op)) {
    define(constraint.getResult(), inLayout(constraint.getX(), constraint.getLayout()),
           constraint.getLayout());
    return success();
  }
  auto ruled = dyn_cast<graph::ShardingRuleOpInterface>(op);
  auto declared = op->getAttrOfType<ArrayAttr>(sharding::kLayoutsAttr);
  if (!ruled || !declared)
    return op->emitOpError("has no layouts; run propagate-layouts first");
  graph::ShardingRule rule = ruled.getShardingRule();
  SmallVector<Axes> factors = factorAxes(op, rule);
  if (factors.size() != rule.factors.size())
    return op->emitOpError() << "has axes for " << factors.size() << " factors; its rule has "
                             << rule.factors.size() << ": " << rule.text();
  SmallVector<LayoutAttr> lie = llvm::map_to_vector(
      op->getOperands(), [&](Value operand) { return locals.lookup(operand).second; });
  OpLayouts layouts(op, rule, lie, mesh, grid);
  SmallVector<Value> operands;
  for (auto [index, operand] : llvm::enumerate(op->getOperands()))
    operands.push_back(inLayout(operand, layouts.operandLayout(index, factors)));

  // Attributes of layouts describe whole tensors; local ops must not carry them.
  op->removeAttr(sharding::kLayoutsAttr);
  op->removeAttr(sharding::kFactorsAttr);
  OpPartition part(*this, op, rule, operands, factors);
  FailureOr<SmallVector<Value>> results = ruled.partition(part);
  if (failed(results))
    return op->emitOpError() << "cannot be split as its factors say: " << rule.text();
  for (auto [index, result] : llvm::enumerate(*results)) {
    auto to = cast<LayoutAttr>(declared[index]);
    LayoutAttr given = layouts.resultLayout(index, factors);
    Value local = sharding::emitReshard(builder, op->getLoc(), result, given, to, grid);
    // The gradient of what is split otherwise inside (attention by heads) reads it as it came.
    if (!given.isPartial())
      moved[{op->getResult(index), given}] = result;
    for (auto [position, value] : part.added)
      if (position == index) {
        // An operand, whose dimensions are the last ones of the result: it follows that.
        LayoutAttr lies =
            layouts.operandLayout(llvm::find(operands, value) - operands.begin(), factors);
        auto follows =
            LayoutAttr::get(mesh, to.getDims().take_back(lies.getDims().size()), nullptr);
        Value moved = sharding::emitReshard(builder, op->getLoc(), value, lies, follows, grid);
        local = graph::AddOp::create(builder, op->getLoc(), local, moved);
      }
    define(op->getResult(index), local, to);
  }
  return success();
}

void LocalFunction::finish(func::ReturnOp terminator) {
  builder.setInsertionPoint(terminator);
  for (OpOperand &returned : terminator->getOpOperands()) {
    listener.take(returned.get().getDefiningOp());
    auto to = function.getResultAttrOfType<LayoutAttr>(returned.getOperandNumber(),
                                                       sharding::kLayoutAttr);
    returned.set(to ? inLayout(returned.get(), to) : locals.lookup(returned.get()).first);
  }
}

LogicalResult LocalFunction::run() {
  Block &body = function.getBody().front();
  auto terminator = cast<func::ReturnOp>(body.getTerminator());
  SmallVector<Operation *> ops;
  for (Operation &op : body.without_terminator())
    ops.push_back(&op);
  // The old ops read arguments of the old types; local ops read a stand-in, which becomes the
  // argument at the end.
  SmallVector<Value> standIns;
  for (BlockArgument argument : body.getArguments()) {
    LayoutAttr layout = sharding::layoutOf(argument);
    if (!layout)
      return emitError(argument.getLoc()) << "argument " << argument.getArgNumber()
                                          << " has no layout; run propagate-layouts first";
    Type type = layout.localType(grid, cast<RankedTensorType>(argument.getType()));
    builder.setInsertionPointToStart(&body);
    Value standIn =
        UnrealizedConversionCastOp::create(builder, argument.getLoc(), type, ValueRange(argument))
            .getResult(0);
    standIns.push_back(standIn);
    define(argument, standIn, layout);
  }
  for (Operation *op : ops)
    if (failed(partition(op)))
      return failure();
  finish(terminator);
  for (Operation *op : llvm::reverse(ops))
    op->erase();
  for (auto [argument, standIn] : llvm::zip_equal(body.getArguments(), standIns)) {
    Operation *cast = standIn.getDefiningOp();
    argument.setType(standIn.getType());
    standIn.replaceAllUsesWith(argument);
    cast->erase();
  }
  function.setFunctionType(
      builder.getFunctionType(body.getArgumentTypes(), terminator->getOperandTypes()));
  return success();
}

struct PartitionPass : impl::PartitionBase<PartitionPass> {
  void runOnOperation() override {
    sharding::MeshOp meshOp = sharding::onlyMesh(getOperation());
    if (!meshOp)
      return;
    auto mesh = FlatSymbolRefAttr::get(meshOp.getSymNameAttr());
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (failed(LocalFunction(function, mesh, meshOp.getAxes()).run()))
        return signalPassFailure();
  }
};

} // namespace
} // namespace deepshard
