//===- LayoutNetwork.cpp - the layouts of a function as choices with costs --------------------===//

#include "passes/planner/LayoutNetwork.h"

#include "passes/sharding/Arguments.h"
#include "passes/sharding/FactorChoice.h"

#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace deepshard {

using sharding::AxisRefAttr;
using sharding::LayoutAttr;
using sharding::PartialAttr;

static RankedTensorType tensorType(Value value) { return cast<RankedTensorType>(value.getType()); }

LayoutNetwork::LayoutNetwork(func::FuncOp function, FlatSymbolRefAttr mesh, sharding::MeshAttr grid,
                             ArrayRef<AxisRefAttr> free, const MachineModel &machine)
    : function(function), mesh(mesh), grid(grid), free(free), machine(machine) {}

LayoutAttr LayoutNetwork::withoutFree(LayoutAttr layout) const {
  for (auto [dim, axes] : llvm::enumerate(layout.getDims())) {
    Axes kept;
    llvm::copy_if(axes.getAxes(), std::back_inserter(kept),
                  [&](AxisRefAttr axis) { return !overlap(axis, free); });
    layout = layout.withAxes(dim, kept);
  }
  return layout;
}

LogicalResult LayoutNetwork::build() {
  Block &body = function.getBody().front();
  for (BlockArgument argument : body.getArguments()) {
    LayoutAttr layout = sharding::layoutOf(argument);
    auto dim =
        function.getArgAttrOfType<IntegerAttr>(argument.getArgNumber(), graph::kBatchDimensionAttr);
    if (dim && layout && batch.empty())
      batch.assign(layout.getAxes(dim.getInt()).begin(), layout.getAxes(dim.getInt()).end());
  }
  for (BlockArgument argument : body.getArguments())
    addArgument(argument);
  for (Operation &op : body.without_terminator())
    if (failed(addOp(&op)))
      return failure();
  connectUses();
  return success();
}

//===------------------------------------------------------------------------------------------===//
// Variables
//===------------------------------------------------------------------------------------------===//

SmallVector<LayoutAttr> LayoutNetwork::layoutsOf(BlockArgument argument) {
  LayoutAttr pinned = sharding::layoutOf(argument);
  if (pinned)
    return {pinned};
  RankedTensorType type = tensorType(argument);
  SmallVector<LayoutAttr> layouts{LayoutAttr::replicated(mesh, type.getRank())};
  if (!function.getArgAttr(argument.getArgNumber(), graph::kParameterAttr))
    return layouts;
  for (AxisRefAttr axis : free)
    for (LayoutAttr layout : SmallVector<LayoutAttr>(layouts))
      for (int64_t dim = 0; dim < type.getRank(); ++dim) {
        Axes axes(layout.getAxes(dim));
        axes.push_back(axis);
        if (type.getDimSize(dim) % grid.sizeOf(axes) == 0)
          layouts.push_back(layout.withAxes(dim, axes));
      }
  return layouts;
}

/// Parameter, gradient and two moments are read, three of them written; the gradient is
/// all-reduced.
Cost LayoutNetwork::updateCost(RankedTensorType type, LayoutAttr layout) {
  const int64_t parts = grid.sizeOf(layout.getSplitAxes());
  const int64_t bytes = type.getNumElements() * (type.getElementTypeBitWidth() / 8);
  Cost cost = machine.compute({0, 4 * bytes, 3 * bytes}, parts);
  if (batch.empty())
    return cost;
  LayoutAttr summands =
      layout.withPartial(PartialAttr::get(grid.getContext(), sharding::Reduction::Sum, batch));
  return addCosts(cost, moveCost(type, summands, layout));
}

void LayoutNetwork::addArgument(BlockArgument argument) {
  Source source{0, layoutsOf(argument)};
  source.variable = network.addVariable(source.layouts.size());
  fixed[argument] = withoutFree(source.layouts.front());
  if (function.getArgAttr(argument.getArgNumber(), graph::kParameterAttr)) {
    SmallVector<Cost> costs;
    for (LayoutAttr layout : source.layouts)
      costs.push_back(updateCost(tensorType(argument), layout));
    network.add(source.variable, costs);
  }
  made[argument] = source;
}

LogicalResult LayoutNetwork::addOp(Operation *op) {
  auto ruled = dyn_cast<graph::ShardingRuleOpInterface>(op);
  if (!ruled)
    return op->emitOpError("has no sharding rule");
  graph::ShardingRule rule = ruled.getShardingRule();
  FixedSplit split;
  for (Value operand : op->getOperands())
    split.operands.push_back(fixed.lookup(operand));
  OpLayouts layouts(op, rule, split.operands, mesh, grid);
  split.factors = chooseFactors(op, rule, layouts, split.operands, grid).factors;
  OpChoices choices{0, candidatesOf(op, rule, split, free, mesh, grid)};
  choices.variable = network.addVariable(choices.candidates.size());
  SmallVector<Cost> costs;
  auto cost = dyn_cast<graph::CostOpInterface>(op);
  for (const Candidate &candidate : choices.candidates) {
    int64_t parts = 1;
    for (const Axes &axes : candidate.factors)
      parts *= grid.sizeOf(axes);
    costs.push_back(cost ? machine.compute(cost.getCost(), parts) : 0);
  }
  network.add(choices.variable, costs);
  for (OpResult result : op->getResults()) {
    Source source{choices.variable, {}};
    for (const Candidate &candidate : choices.candidates)
      source.layouts.push_back(candidate.results[result.getResultNumber()]);
    // The first candidate has no free axes.
    LayoutAttr layout = source.layouts.front();
    fixed[result] = rule.once.empty() ? layout : layout.withPartial(nullptr);
    made[result] = source;
  }
  ops[op] = std::move(choices);
  return success();
}

/// Homes are all layouts in which the value is made or read, without summands over free axes.
void LayoutNetwork::addHome(Value value, const Source &source, bool mustBeWhole) {
  llvm::SetVector<LayoutAttr> layouts;
  auto add = [&](LayoutAttr layout) {
    PartialAttr partial = fixed.lookup(value).getPartial();
    layouts.insert(layout.withPartial(mustBeWhole ? nullptr : partial));
  };
  for (LayoutAttr layout : source.layouts)
    add(layout);
  for (OpOperand &use : value.getUses())
    if (auto it = ops.find(use.getOwner()); it != ops.end())
      for (const Candidate &candidate : it->second.candidates)
        add(candidate.operands[use.getOperandNumber()]);
  Source home{network.addVariable(layouts.size()), layouts.takeVector()};
  connect(value, source, home.variable, home.layouts);
  homes[value] = std::move(home);
}

//===------------------------------------------------------------------------------------------===//
// Costs between variables
//===------------------------------------------------------------------------------------------===//

void LayoutNetwork::connectUses() {
  for (auto &[value, source] : made) {
    auto ruled = dyn_cast_or_null<graph::ShardingRuleOpInterface>(value.getDefiningOp());
    bool mustBeWhole = ruled && !ruled.getShardingRule().once.empty();
    if (mustBeWhole || !(value.use_empty() || value.hasOneUse()))
      addHome(value, source, mustBeWhole);
  }
  for (auto &[value, source] : made) {
    auto home = homes.find(value);
    const Source &from = home == homes.end() ? source : home->second;
    for (OpOperand &use : value.getUses()) {
      auto reader = ops.find(use.getOwner());
      if (reader == ops.end()) {
        connectResult(use);
        continue;
      }
      SmallVector<LayoutAttr> wanted =
          llvm::map_to_vector(reader->second.candidates, [&](const Candidate &candidate) {
            return candidate.operands[use.getOperandNumber()];
          });
      connect(value, from, reader->second.variable, wanted);
    }
  }
}

/// A gradient lies as its parameter, as summands over the batch. One that is the same for all of
/// the batch becomes summands without a move.
void LayoutNetwork::connectGradient(Value value, const Source &from, const Source &parameter) {
  auto summands = batch.empty()
                      ? PartialAttr()
                      : PartialAttr::get(grid.getContext(), sharding::Reduction::Sum, batch);
  SmallVector<Cost> costs;
  for (LayoutAttr source : from.layouts)
    for (LayoutAttr target : parameter.layouts)
      costs.push_back(moveCost(tensorType(value), source,
                               source.isPartial() ? target.withPartial(summands) : target));
  addCostsOf(from.variable, parameter.variable, costs);
}

/// Everything but gradients is whole.
void LayoutNetwork::connectResult(OpOperand &returned) {
  Value value = returned.get();
  auto home = homes.find(value);
  const Source &from = home == homes.end() ? made.find(value)->second : home->second;
  auto gradient =
      function.getResultAttrOfType<StringAttr>(returned.getOperandNumber(), graph::kGradientAttr);
  if (gradient)
    for (BlockArgument argument : function.getArguments())
      if (function.getArgAttr(argument.getArgNumber(), graph::kParameterAttr) == gradient) {
        const Source &parameter = made.find(argument)->second;
        return connectGradient(value, from, parameter);
      }
  SmallVector<Cost> costs;
  for (LayoutAttr layout : from.layouts)
    costs.push_back(moveCost(tensorType(value), layout,
                             LayoutAttr::replicated(mesh, tensorType(value).getRank())));
  network.add(from.variable, costs);
}

void LayoutNetwork::connect(Value value, const Source &from, unsigned to,
                            ArrayRef<LayoutAttr> layouts) {
  SmallVector<Cost> costs;
  for (LayoutAttr source : from.layouts)
    for (LayoutAttr target : layouts)
      costs.push_back(moveCost(tensorType(value), source, target));
  addCostsOf(from.variable, to, costs);
}

void LayoutNetwork::addCostsOf(unsigned a, unsigned b, ArrayRef<Cost> pairs) {
  if (a != b)
    return network.add(a, b, pairs);
  // A parameter that is returned as its own gradient.
  SmallVector<Cost> own;
  for (size_t choice = 0, end = network.choices(a); choice < end; ++choice)
    own.push_back(pairs[choice * end + choice]);
  network.add(a, own);
}

Cost LayoutNetwork::moveCost(RankedTensorType type, LayoutAttr from, LayoutAttr to) {
  auto [it, isNew] = moves.try_emplace({type, from, to}, 0);
  if (!isNew)
    return it->second;
  // Nothing becomes summands on its way, or summands of another kind.
  PartialAttr before = from.getPartial(), after = to.getPartial();
  bool isReachable = !after || (before && before.getKind() == after.getKind() &&
                                before.getType() == after.getType() &&
                                llvm::all_of(after.getAxes(), [&](AxisRefAttr axis) {
                                  return llvm::is_contained(before.getAxes(), axis);
                                }));
  Cost cost = kForbidden;
  if (isReachable)
    cost = machine.communicate(sharding::reshardSteps(from, to, grid, type.getShape()),
                               type.getElementTypeBitWidth(), grid);
  return moves[{type, from, to}] = cost;
}

//===------------------------------------------------------------------------------------------===//
// The result
//===------------------------------------------------------------------------------------------===//

void LayoutNetwork::annotate(ArrayRef<unsigned> choices) {
  MLIRContext *context = function.getContext();
  for (BlockArgument argument : function.getArguments()) {
    const Source &source = made.find(argument)->second;
    setArgumentLayout(argument, source.layouts[choices[source.variable]]);
  }
  for (auto &[op, own] : ops) {
    const Candidate &candidate = own.candidates[choices[own.variable]];
    auto lists = llvm::map_to_vector(candidate.factors, [&](const Axes &axes) {
      return sharding::AxisListAttr::get(context, axes);
    });
    op->setAttr(sharding::kFactorsAttr, sharding::FactorsAttr::get(context, lists));
    SmallVector<Attribute> layouts;
    for (OpResult result : op->getResults()) {
      LayoutAttr layout = candidate.results[result.getResultNumber()];
      auto home = homes.find(result);
      auto reader = result.hasOneUse() ? ops.find(*result.getUsers().begin()) : ops.end();
      if (home != homes.end())
        layout = home->second.layouts[choices[home->second.variable]];
      else if (reader != ops.end()) // moved where it is made, as its reader wants it
        layout = reader->second.candidates[choices[reader->second.variable]]
                     .operands[result.getUses().begin()->getOperandNumber()];
      layouts.push_back(layout);
    }
    op->setAttr(sharding::kLayoutsAttr, ArrayAttr::get(context, layouts));
  }
}

} // namespace deepshard
