//===- LayoutNetwork.cpp - the layouts of a function as choices with costs --------------------===//

#include "passes/planner/LayoutNetwork.h"

#include "passes/sharding/Arguments.h"

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
    if (!layout || !function.getArgAttr(argument.getArgNumber(), graph::kInputAttr))
      continue;
    for (AxisRefAttr axis : layout.getSplitAxes())
      if (!overlap(axis, batch))
        batch.push_back(axis);
  }
  batch = Axes(grid.inMeshOrder(batch));
  auto module = function->getParentOfType<ModuleOp>();
  if (auto steps = module->getAttrOfType<IntegerAttr>(graph::kAccumulationAttr))
    microBatches = steps.getInt();
  zero = module->getAttrOfType<sharding::ZeroAttr>(sharding::kZeroAttr);
  for (BlockArgument argument : body.getArguments())
    addArgument(argument);
  for (Operation &op : body.without_terminator())
    if (failed(addOp(&op)))
      return failure();
  if (!refused.empty())
    return failure();
  connectUses();
  return success();
}

//===------------------------------------------------------------------------------------------===//
// Variables
//===------------------------------------------------------------------------------------------===//

LayoutNetwork::Layouts LayoutNetwork::intern(std::vector<LayoutAttr> layouts) {
  return &*lists.insert(std::move(layouts)).first; // a set keeps its elements in their places
}

std::vector<LayoutAttr> LayoutNetwork::layoutsOf(BlockArgument argument) {
  LayoutAttr pinned = sharding::layoutOf(argument);
  if (pinned)
    return {pinned};
  RankedTensorType type = tensorType(argument);
  std::vector<LayoutAttr> layouts{LayoutAttr::replicated(mesh, type.getRank())};
  if (!function.getArgAttr(argument.getArgNumber(), graph::kParameterAttr))
    return layouts;
  for (AxisRefAttr axis : free)
    for (size_t i = 0, end = layouts.size(); i < end; ++i)
      for (int64_t dim = 0; dim < type.getRank(); ++dim) {
        Axes axes(layouts[i].getAxes(dim));
        axes.push_back(axis);
        if (type.getDimSize(dim) % grid.sizeOf(axes) == 0)
          layouts.push_back(layouts[i].withAxes(dim, axes));
      }
  return layouts;
}

/// Bytes are those of a step, times those of a micro-batch.
Cost LayoutNetwork::perStep(Cost cost, int64_t times) const {
  return {cost.traffic * times,
          times == microBatches ? cost.time : cost.time * times / microBatches};
}

/// Where the parameter is read: in the forward, in the backward.
static std::pair<bool, bool> phasesOf(BlockArgument parameter) {
  std::pair<bool, bool> phases{false, false};
  for (Operation *user : parameter.getUsers()) {
    auto phase = user->getAttrOfType<StringAttr>(graph::kPhaseAttr);
    (phase && phase.getValue() == "backward" ? phases.second : phases.first) = true;
  }
  return phases;
}

/// The reduction of its gradient, once a step or in each micro-batch, and what ZeRO gathers of the
/// parameter (ShardBuckets.cpp), as if it were a bucket of its own. `bytes`: what a rank has.
Cost LayoutNetwork::reductionCost(BlockArgument parameter, int64_t bytes) const {
  const int64_t reductions =
      zero && zero.getReduction().getValue() == "micro_batch" ? microBatches : 1;
  auto without = [](int64_t whole, int64_t parts) { return whole - whole / parts; };
  auto receive = [&](int64_t received, ArrayRef<AxisRefAttr> axes, int64_t times) {
    return received > 0 ? perStep(machine.receive(received, axes, grid), times) : Cost();
  };
  const int64_t parts = zero ? grid.sizeOf(zero.getAxes().getAxes()) : 1;
  if (parts == 1 || zero.getStage() == 0)
    return receive(2 * without(bytes, grid.sizeOf(batch)), batch, reductions);
  Axes axes(zero.getAxes().getAxes());
  Cost cost = receive(without(bytes, parts), axes, reductions);
  if (zero.getCopies()) {
    Axes copies(zero.getCopies().getAxes());
    cost += receive(2 * without(bytes / parts, grid.sizeOf(copies)), copies, reductions);
  }
  const bool isSmall = tensorType(parameter).getNumElements() <= zero.getKeptWhole();
  StringRef gather = zero.getGather().getValue();
  if (zero.getStage() < 3 || isSmall || gather == "step")
    return cost + receive(without(bytes, parts), axes, 1);
  const auto [forward, backward] = phasesOf(parameter);
  if (gather != "regather")
    return cost + receive(without(bytes, parts), axes, microBatches);
  if (forward)
    cost += receive(without(bytes, parts), axes, microBatches);
  if (zero.getRegatherOver() && !zero.getRegatherOver().empty())
    axes = Axes(zero.getRegatherOver().getAxes());
  if (backward)
    cost += receive(without(bytes, grid.sizeOf(axes)), axes, microBatches);
  return cost;
}

/// Parameter, gradient and two moments are read, three of them written, once a step.
Cost LayoutNetwork::updateCost(BlockArgument parameter, LayoutAttr layout) const {
  RankedTensorType type = tensorType(parameter);
  const int64_t parts = grid.sizeOf(layout.getSplitAxes());
  const int64_t bytes = type.getNumElements() * (type.getElementTypeBitWidth() / 8);
  return perStep(
             machine.compute({0, 4 * bytes, 3 * bytes}, parts, 1.0 / static_cast<double>(parts)),
             1) +
         reductionCost(parameter, bytes / parts);
}

void LayoutNetwork::addArgument(BlockArgument argument) {
  Source source{0, intern(layoutsOf(argument))};
  source.variable = network.addVariable(source.layouts->size());
  fixed[argument] = withoutFree(source.layouts->front());
  if (function.getArgAttr(argument.getArgNumber(), graph::kParameterAttr)) {
    std::vector<Cost> costs;
    for (LayoutAttr layout : *source.layouts)
      costs.push_back(updateCost(argument, layout));
    source.update = network.table(std::move(costs));
    network.add(source.variable, *source.update);
  }
  made[argument] = source;
}

/// An op whose results have dimensions that no operand has makes more than it reads.
static bool isGrowing(Operation *op) {
  auto elements = [](Type type) { return cast<RankedTensorType>(type).getNumElements(); };
  return llvm::any_of(op->getResultTypes(), [&](Type result) {
    return llvm::all_of(op->getOperandTypes(),
                        [&](Type operand) { return elements(operand) < elements(result); });
  });
}

SmallVector<ReaderWish> LayoutNetwork::readersOf(Operation *op,
                                                 const graph::ShardingRule &rule) const {
  if (!isGrowing(op))
    return {};
  return wishesOfReaders(op, rule, [&](Value value) { return fixed.lookup(value); }, mesh, grid);
}

/// Everything that candidates and their costs depend on: what the op is, its types, where its
/// operands lie without the free axes, what readers wish, and, for summands (OpLayouts::passing),
/// who else reads an operand and whether a result is returned.
const LayoutNetwork::OpClass *LayoutNetwork::classOf(Operation *op) {
  Key key{op->getName().getAsOpaquePointer()};
  for (NamedAttribute attribute : op->getAttrDictionary()) {
    // Which op it is, not what kind of op.
    if (attribute.getName() == graph::kPhaseAttr || attribute.getName() == "id")
      continue;
    key.push_back(attribute.getName().getAsOpaquePointer());
    key.push_back(attribute.getValue().getAsOpaquePointer());
  }
  static constexpr char kMany = 0, kReturned = 0; // marks: addresses of no other thing
  for (Value operand : op->getOperands()) {
    key.push_back(operand.getType().getAsOpaquePointer());
    key.push_back(fixed.lookup(operand).getAsOpaquePointer());
    key.push_back(operand.hasOneUse() ? nullptr : &kMany);
  }
  for (OpResult result : op->getResults()) {
    key.push_back(result.getType().getAsOpaquePointer());
    bool isReturned = result.hasOneUse() && isa<func::ReturnOp>(*result.getUsers().begin());
    key.push_back(isReturned ? &kReturned : nullptr);
    if (isReturned)
      key.push_back(
          function
              .getResultAttr(result.getUses().begin()->getOperandNumber(), sharding::kLayoutAttr)
              .getAsOpaquePointer());
  }
  auto ruled = dyn_cast<graph::ShardingRuleOpInterface>(op);
  if (ruled && isGrowing(op))
    for (const ReaderWish &wish : readersOf(op, ruled.getShardingRule())) {
      auto axes = sharding::AxisListAttr::get(op->getContext(), wish.axes);
      key.push_back(reinterpret_cast<const void *>(uintptr_t{wish.factor}));
      key.push_back(axes.getAsOpaquePointer());
    }
  auto [it, isNew] = classes.try_emplace(std::move(key));
  if (isNew) {
    if (!ruled) {
      op->emitOpError("has no sharding rule");
      return nullptr;
    }
    it->second = makeClass(op, ruled);
  }
  return &it->second;
}

/// All parts share the arithmetic but for what a rule says is repeated, but every rank reads the
/// whole of an operand that is not split.
Cost LayoutNetwork::computeCost(Operation *op, const Candidate &candidate) const {
  auto costly = dyn_cast<graph::CostOpInterface>(op);
  if (!costly)
    return {};
  auto parts =
      llvm::map_to_vector(candidate.factors, [&](const Axes &axes) { return grid.sizeOf(axes); });
  int64_t whole = 0, local = 0;
  auto add = [&](Value value, LayoutAttr layout) {
    const int64_t bits =
        tensorType(value).getNumElements() * tensorType(value).getElementTypeBitWidth();
    whole += bits;
    local += bits / grid.sizeOf(layout.getSplitAxes());
  };
  for (auto [operand, layout] : llvm::zip_equal(op->getOperands(), candidate.operands))
    add(operand, layout);
  for (auto [value, layout] : llvm::zip_equal(op->getResults(), candidate.results))
    add(value, layout);
  const graph::ShardingRule rule = cast<graph::ShardingRuleOpInterface>(op).getShardingRule();
  graph::OpCost cost = costly.getCost();
  cost.flops = rule.flopsOfAll(cost.flops, parts);
  for (const graph::Ring &ring : rule.rings)
    if (const int64_t ranks = grid.sizeOf(candidate.factors[ring.factor]); ring.isCausal)
      cost.flops = cost.flops * (2 * ranks - 1) / ranks; // of the rank that all wait for
  return machine.compute(cost, llvm::product_of(parts),
                         static_cast<double>(local) /
                             static_cast<double>(std::max<int64_t>(whole, 1)));
}

LayoutNetwork::OpClass LayoutNetwork::makeClass(Operation *op,
                                                graph::ShardingRuleOpInterface ruled) {
  graph::ShardingRule rule = ruled.getShardingRule();
  FixedSplit split;
  for (Value operand : op->getOperands())
    split.operands.push_back(fixed.lookup(operand));
  OpLayouts layouts(op, rule, split.operands, mesh, grid);
  // Where a sequence may split the heads or go round, the search decides.
  auto choose = [&](StringRef attention) {
    return chooseFactors(op, rule, layouts, split.operands, readersOf(op, rule), attention, grid);
  };
  const FactorChoice choice = choose(attentionOf(op));
  OpClass result;
  result.refused = choice.refused;
  auto addCandidates = [&](const FactorChoice &way) {
    split.factors = way.factors;
    llvm::append_range(result.candidates, candidatesOf(op, rule, split, free, mesh, grid));
  };
  addCandidates(choice);
  if (attentionOf(op) == sharding::kAuto && !rule.instead.empty()) {
    const FactorChoice ring = choose(sharding::kRing);
    if (ring.refused.empty() && ring.factors != choice.factors) {
      result.rings = result.candidates.size();
      addCandidates(ring);
    }
  }
  result.mustBeWhole = !rule.once.empty();
  std::vector<Cost> costs, inner;
  for (const Candidate &candidate : result.candidates) {
    costs.push_back(computeCost(op, candidate));
    inner.push_back(perStep(machine.exchange(op, rule, candidate.factors, grid), microBatches));
  }
  result.costs = network.table(std::move(costs));
  result.inner = network.table(std::move(inner));
  auto listOf = [&](auto layoutOf) {
    std::vector<LayoutAttr> list;
    for (const Candidate &candidate : result.candidates)
      list.push_back(layoutOf(candidate));
    return intern(std::move(list));
  };
  for (unsigned index = 0; index < op->getNumOperands(); ++index)
    result.operands.push_back(listOf([&](const Candidate &c) { return c.operands[index]; }));
  for (unsigned index = 0; index < op->getNumResults(); ++index) {
    result.results.push_back(listOf([&](const Candidate &c) { return c.results[index]; }));
    // What is split otherwise inside the op goes back behind it.
    LayoutAttr layout = layouts.resultLayout(index, choice.home);
    result.fixedResults.push_back(result.mustBeWhole ? layout.withPartial(nullptr) : layout);
  }
  return result;
}

LogicalResult LayoutNetwork::addOp(Operation *op) {
  const OpClass *kind = classOf(op);
  if (!kind)
    return failure();
  // Layers are alike: what was said of one is not said again.
  if (!kind->refused.empty() && refused.insert(kind->refused).second)
    emitError(op->getLoc()) << kind->refused;
  OpChoices choices{network.addVariable(kind->candidates.size()), kind};
  network.add(choices.variable, kind->costs);
  network.add(choices.variable, kind->inner);
  for (OpResult result : op->getResults()) {
    fixed[result] = kind->fixedResults[result.getResultNumber()];
    made[result] = {choices.variable, kind->results[result.getResultNumber()]};
  }
  ops[op] = choices;
  return success();
}

/// Homes are all layouts in which the value is made or read, without summands over free axes.
void LayoutNetwork::addHome(Value value, const Source &source, bool mustBeWhole) {
  PartialAttr partial = mustBeWhole ? nullptr : fixed.lookup(value).getPartial();
  SmallVector<Layouts> near{source.layouts};
  for (OpOperand &use : value.getUses())
    if (auto it = ops.find(use.getOwner()); it != ops.end())
      near.push_back(it->second.kind->operands[use.getOperandNumber()]);
  Key key{partial.getAsOpaquePointer()};
  llvm::append_range(key, near);
  auto [it, isNew] = homeLists.try_emplace(std::move(key), nullptr);
  if (isNew) {
    llvm::SetVector<LayoutAttr> layouts;
    for (Layouts list : near)
      for (LayoutAttr layout : *list)
        layouts.insert(layout.withPartial(partial));
    it->second = intern({layouts.begin(), layouts.end()});
  }
  Source home{network.addVariable(it->second->size()), it->second};
  connect(value, source, home.variable, home.layouts);
  homes[value] = home;
}

//===------------------------------------------------------------------------------------------===//
// Costs between variables
//===------------------------------------------------------------------------------------------===//

void LayoutNetwork::connectUses() {
  for (auto &[value, source] : made) {
    auto maker = ops.find(value.getDefiningOp());
    bool mustBeWhole = maker != ops.end() && maker->second.kind->mustBeWhole;
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
      connect(value, from, reader->second.variable,
              reader->second.kind->operands[use.getOperandNumber()]);
    }
  }
}

/// A gradient lies as its parameter, as summands over the batch. One that is the same for all of
/// the batch becomes summands without a move.
void LayoutNetwork::connectGradient(Value value, const Source &from, const Source &parameter) {
  auto summands = batch.empty()
                      ? PartialAttr()
                      : PartialAttr::get(grid.getContext(), sharding::Reduction::Sum, batch);
  static constexpr char kGradient = 0; // a mark
  auto [it, isNew] = moveTables.try_emplace(
      {&kGradient, value.getType().getAsOpaquePointer(), from.layouts, parameter.layouts}, 0);
  if (isNew) {
    std::vector<Cost> costs;
    for (LayoutAttr source : *from.layouts)
      for (LayoutAttr target : *parameter.layouts)
        costs.push_back(moveCost(tensorType(value), source,
                                 source.isPartial() ? target.withPartial(summands) : target));
    it->second = network.table(from.layouts->size(), parameter.layouts->size(), std::move(costs));
  }
  addCostsOf(from.variable, parameter.variable, it->second);
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
  std::vector<Cost> costs;
  for (LayoutAttr layout : *from.layouts)
    costs.push_back(moveCost(tensorType(value), layout,
                             LayoutAttr::replicated(mesh, tensorType(value).getRank())));
  network.add(from.variable, std::move(costs));
}

void LayoutNetwork::connect(Value value, const Source &from, unsigned to, Layouts layouts) {
  auto [it, isNew] =
      moveTables.try_emplace({value.getType().getAsOpaquePointer(), from.layouts, layouts}, 0);
  if (isNew) {
    std::vector<Cost> costs;
    for (LayoutAttr source : *from.layouts)
      for (LayoutAttr target : *layouts)
        costs.push_back(moveCost(tensorType(value), source, target));
    it->second = network.table(from.layouts->size(), layouts->size(), std::move(costs));
  }
  addCostsOf(from.variable, to, it->second);
}

void LayoutNetwork::addCostsOf(unsigned a, unsigned b, CostStore::Id costs) {
  if (a != b)
    network.add(a, b, costs);
  else // a parameter that is returned as its own gradient
    network.addDiagonal(a, costs);
}

Cost LayoutNetwork::moveCost(RankedTensorType type, LayoutAttr from, LayoutAttr to) {
  auto [it, isNew] = moves.try_emplace({type, from, to});
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
    cost = perStep(machine.communicate(sharding::reshardSteps(from, to, grid, type.getShape()),
                                       type.getElementTypeBitWidth(), grid),
                   microBatches);
  return moves[{type, from, to}] = cost;
}

//===------------------------------------------------------------------------------------------===//
// The result
//===------------------------------------------------------------------------------------------===//

SmallVector<LayoutNetwork::Parameter> LayoutNetwork::parameters() const {
  SmallVector<Parameter> result;
  func::FuncOp theFunction = function; // its methods are not const
  for (BlockArgument argument : theFunction.getArguments())
    if (theFunction.getArgAttr(argument.getArgNumber(), graph::kParameterAttr)) {
      const Source &source = made.find(argument)->second;
      result.push_back({argument, source.variable, *source.layouts});
    }
  return result;
}

SmallVector<LayoutNetwork::Decision> LayoutNetwork::decisions() const {
  SmallVector<Decision> result;
  auto addValue = [&](Value value, const Source &source) {
    if (source.layouts->size() > 1)
      result.push_back({value, value.getDefiningOp(), source.variable, *source.layouts, {}});
  };
  func::FuncOp theFunction = function; // its methods are not const
  for (BlockArgument argument : theFunction.getArguments())
    addValue(argument, made.find(argument)->second);
  for (const auto &[op, choices] : ops) {
    const OpClass &kind = *choices.kind;
    if (kind.candidates.size() > 1)
      result.push_back({nullptr, op, choices.variable, {}, kind.candidates, kind.rings});
    for (Value value : op->getResults())
      if (auto home = homes.find(value); home != homes.end())
        addValue(value, home->second);
  }
  return result;
}

LayoutNetwork::Breakdown LayoutNetwork::breakdown(const CostNetwork::Solution &solution) const {
  Breakdown result;
  for (const auto &[op, choices] : ops)
    result.compute += network.costsOf(choices.kind->costs)[solution.choices[choices.variable]];
  for (const auto &[value, source] : made)
    if (source.update)
      result.update += network.costsOf(*source.update)[solution.choices[source.variable]];
  result.moves = solution.cost - result.compute - result.update;
  return result;
}

void LayoutNetwork::annotate(ArrayRef<unsigned> choices) {
  MLIRContext *context = function.getContext();
  for (BlockArgument argument : function.getArguments()) {
    const Source &source = made.find(argument)->second;
    setArgumentLayout(argument, (*source.layouts)[choices[source.variable]]);
  }
  for (auto &[op, own] : ops) {
    const Candidate &candidate = own.kind->candidates[choices[own.variable]];
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
        layout = (*home->second.layouts)[choices[home->second.variable]];
      else if (reader != ops.end()) // moved where it is made, as its reader wants it
        layout = reader->second.kind->candidates[choices[reader->second.variable]]
                     .operands[result.getUses().begin()->getOperandNumber()];
      layouts.push_back(layout);
    }
    op->setAttr(sharding::kLayoutsAttr, ArrayAttr::get(context, layouts));
  }
}

} // namespace deepshard
