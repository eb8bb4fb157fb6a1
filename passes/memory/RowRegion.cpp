//===- RowRegion.cpp - ops around a wide value that work row by row --------------------------===//

#include "passes/memory/RowRegion.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace deepshard {

using graph::FactorKind;
using graph::ShardingRule;

/// An anchor's result has at least so many elements for each of its rows' operand, and what has at
/// least this part of the anchor's result is wide.
static constexpr int64_t kWider = 2;

static bool isIn(Operation *op, StringRef phase) {
  auto attribute = op->getAttrOfType<StringAttr>(graph::kPhaseAttr);
  return attribute && attribute.getValue() == phase;
}

static int64_t numElements(Value value) {
  return cast<RankedTensorType>(value.getType()).getNumElements();
}

static int64_t productOf(const AxisList &list, ArrayRef<int64_t> sizes) {
  int64_t product = 1;
  for (unsigned axis : list)
    product *= sizes[axis];
  return product;
}

/// The operand of a contraction whose dimensions are the leading ones of the result; nothing if
/// there is none, or if it has all factors of the result.
static std::optional<unsigned> rowsOperand(const ShardingRule &rule) {
  if (rule.results.size() != 1 || llvm::none_of(rule.factors, [](const graph::Factor &factor) {
        return factor.kind == FactorKind::Reduction;
      }))
    return std::nullopt;
  const graph::TensorFactors &result = rule.results[0];
  const auto *first = llvm::find_if(result, [](const auto &factors) { return !factors.empty(); });
  if (first == result.end() || first->size() != 1)
    return std::nullopt;
  for (auto [index, operand] : llvm::enumerate(rule.operands)) {
    auto isHere = [&](unsigned factor) { return ShardingRule::has(operand, factor); };
    bool hasAll = llvm::all_of(result, [&](const graph::DimensionFactors &factors) {
      return llvm::all_of(factors, isHere);
    });
    if (isHere(first->front()))
      return hasAll ? std::nullopt : std::optional<unsigned>(index);
  }
  return std::nullopt;
}

bool RowRegion::canBeAnchor(Operation *op) {
  auto ruled = dyn_cast<graph::ShardingRuleOpInterface>(op);
  if (!ruled || op->getNumResults() != 1 || op->getNumOperands() < 2 || !isIn(op, "forward"))
    return false;
  std::optional<unsigned> rows = rowsOperand(ruled.getShardingRule());
  return rows && numElements(op->getResult(0)) >= kWider * numElements(op->getOperand(*rows));
}

std::optional<RowRegion> RowRegion::of(Operation *anchor) {
  if (!canBeAnchor(anchor))
    return std::nullopt;
  const auto rank = cast<RankedTensorType>(anchor->getResult(0).getType()).getRank();
  for (int64_t dims = rank, most = rank + 1; dims > 0; --dims) {
    RowRegion region(anchor);
    region.setAxes(dims);
    const auto found = static_cast<int64_t>(region.axes.size());
    if (found == 0)
      return std::nullopt;
    if (found == most)
      continue;
    most = found;
    Step step = Step::Again;
    while (step == Step::Again)
      step = region.grow();
    if (step == Step::Done && llvm::any_of(region.members, [](const auto &member) {
          return isIn(member.first, "backward");
        }))
      return region;
    region.undo();
  }
  return std::nullopt;
}

/// The rows are the leading ones of the first `dims` dimensions of the result that the rows'
/// operand has too.
void RowRegion::setAxes(int64_t dims) {
  const ShardingRule rule = cast<graph::ShardingRuleOpInterface>(anchor).getShardingRule();
  const graph::TensorFactors &operand = rule.operands[*rowsOperand(rule)];
  anchorRows.assign(rule.results[0].size(), {});
  for (auto [dim, factors] : llvm::enumerate(ArrayRef(rule.results[0]).take_front(dims))) {
    if (factors.empty())
      continue;
    if (factors.size() != 1 || !ShardingRule::has(operand, factors[0]) ||
        rule.factors[factors[0]].kind != FactorKind::PassThrough)
      return;
    anchorRows[dim] = {static_cast<unsigned>(axes.size())};
    axes.push_back(rule.factors[factors[0]].size);
  }
}

const RowDims *RowRegion::rowsOf(Value value) const {
  auto result = dyn_cast<OpResult>(value);
  auto it = result ? members.find(result.getOwner()) : members.end();
  return it == members.end() ? nullptr : &it->second.results[result.getResultNumber()];
}

bool RowRegion::dependsOnAnchor(Value value) const {
  auto it = members.find(value.getDefiningOp());
  return it != members.end() && it->second.dependsOnAnchor;
}

bool RowRegion::hasRows(Value value) const {
  const RowDims *rows = rowsOf(value);
  return rows && llvm::any_of(*rows, [](const AxisList &list) { return !list.empty(); });
}

bool RowRegion::isWide(Value value) const {
  return hasRows(value) && kWider * numElements(value) >= numElements(anchor->getResult(0));
}

RowRegion::Step RowRegion::grow() {
  members.clear();
  for (Operation &op : *anchor->getBlock()) {
    if (&op != anchor && !between.contains(&op) && !producers.contains(&op) &&
        llvm::none_of(op.getOperands(),
                      [&](Value value) { return isWide(value) && dependsOnAnchor(value); }))
      continue;
    for (Value operand : op.getOperands())
      if (rowsOf(operand) && !hasRows(operand))
        return computeByItself(operand) ? Step::Again : Step::Failed;
    if (!add(&op))
      return Step::Failed;
  }
  return wantMissing();
}

/// Gives factors the axes of the dimensions that they make up, the last one more than that if there
/// is more. False: they cut these otherwise, or have other ones.
bool RowRegion::bind(const ShardingRule &rule, const graph::TensorFactors &tensor,
                     const RowDims &rows, SmallVectorImpl<std::optional<AxisList>> &factors) const {
  for (auto [dimension, list] : llvm::zip_equal(tensor, rows)) {
    ArrayRef<unsigned> rest = list;
    for (unsigned factor : dimension) {
      AxisList taken;
      const int64_t size = rule.factors[factor].size;
      while (!rest.empty() && productOf(taken, axes) < size) {
        taken.push_back(rest.front());
        rest = rest.drop_front();
      }
      const int64_t product = productOf(taken, axes);
      if (size % product != 0 || (size != product && !rest.empty()) ||
          (factors[factor] && *factors[factor] != taken))
        return false;
      factors[factor] = taken;
    }
    if (!rest.empty())
      return false;
  }
  return true;
}

/// The axes of the dimensions of a tensor; nothing if one is made up of rows behind something else.
static std::optional<RowDims> rowDims(const ShardingRule &rule, const graph::TensorFactors &tensor,
                                      ArrayRef<AxisList> factors, ArrayRef<int64_t> axes) {
  RowDims rows;
  for (const graph::DimensionFactors &dimension : tensor) {
    AxisList &list = rows.emplace_back();
    bool isRest = false;
    for (unsigned factor : dimension) {
      if (isRest && !factors[factor].empty())
        return std::nullopt;
      llvm::append_range(list, factors[factor]);
      isRest |= productOf(factors[factor], axes) != rule.factors[factor].size;
    }
  }
  return rows;
}

bool RowRegion::add(Operation *op) {
  auto ruled = dyn_cast<graph::ShardingRuleOpInterface>(op);
  if (!ruled)
    return false;
  Member member;
  member.rule = ruled.getShardingRule();
  const ShardingRule &rule = member.rule;
  SmallVector<std::optional<AxisList>> bound(rule.factors.size());
  for (auto [index, operand] : llvm::enumerate(op->getOperands()))
    if (const RowDims *rows = rowsOf(operand))
      if (!bind(rule, rule.operands[index], *rows, bound))
        return false;
  auto producer = producers.find(op);
  member.dependsOnAnchor = op == anchor || llvm::any_of(op->getOperands(), [&](Value operand) {
                             return dependsOnAnchor(operand);
                           });
  if (op == anchor && !bind(rule, rule.results[0], anchorRows, bound))
    return false;
  if (producer != producers.end() && !bind(rule, rule.results[0], producer->second, bound))
    return false;

  AxisList seen;
  for (auto [factor, list] : llvm::zip_equal(rule.factors, bound)) {
    member.factors.push_back(list.value_or(AxisList()));
    if (member.factors.back().empty())
      continue;
    llvm::append_range(seen, member.factors.back());
    if (factor.kind != FactorKind::PassThrough &&
        (factor.kind != FactorKind::Reduction || !rule.once.empty()))
      return false;
  }
  llvm::sort(seen);
  if (std::adjacent_find(seen.begin(), seen.end()) != seen.end())
    return false;
  for (auto [tensors, result] :
       {std::pair(&rule.operands, &member.operands), std::pair(&rule.results, &member.results)})
    for (const graph::TensorFactors &tensor : *tensors) {
      std::optional<RowDims> rows = rowDims(rule, tensor, member.factors, axes);
      if (!rows)
        return false;
      result->push_back(*rows);
    }
  if (member.dependsOnAnchor && !llvm::all_of(op->getResults(), [&](OpResult result) {
        return hasAllRowsOrNone(result, member);
      }))
    return false;
  members.insert({op, std::move(member)});
  return true;
}

/// How parts of result `index` of a member become the whole; nothing if that is not said.
static std::optional<graph::ReductionKind> partsOf(const RowRegion::Member &member,
                                                   unsigned index) {
  std::optional<graph::ReductionKind> kind;
  for (auto [factor, list] : llvm::enumerate(member.factors)) {
    if (list.empty())
      continue;
    auto own = member.rule.partialKind(index, static_cast<unsigned>(factor));
    if (!own || (kind && *kind != *own))
      return std::nullopt;
    kind = own;
  }
  return kind;
}

/// A result has all rows, or is a sum (minimum, maximum) over them whose parts do not lose digits.
bool RowRegion::hasAllRowsOrNone(OpResult result, const Member &member) const {
  const unsigned index = result.getResultNumber();
  size_t count = 0;
  for (const AxisList &list : member.results[index])
    count += list.size();
  if (count > 0)
    return count == axes.size();
  std::optional<graph::ReductionKind> kind = partsOf(member, index);
  Type type = cast<RankedTensorType>(result.getType()).getElementType();
  return kind && (*kind != graph::ReductionKind::Sum || graph::accumulationType(type) == type);
}

//===------------------------------------------------------------------------------------------===//
// What is missing
//===------------------------------------------------------------------------------------------===//

RowRegion::Step RowRegion::wantMissing() {
  for (const auto &[op, member] : members)
    for (Value result : op->getResults())
      if (member.dependsOnAnchor && isWide(result) &&
          llvm::any_of(result.getUsers(), [&](Operation *user) { return !members.contains(user); }))
        return Step::Failed;
  const bool more = wantProducers();
  if (wantBetween() || more)
    return Step::Again;
  // What is wide and made inside is not needed outside.
  const bool isInside = llvm::all_of(producers, [&](const auto &producer) {
    return llvm::all_of(producer.first->getUsers(),
                        [&](Operation *user) { return members.contains(user); });
  });
  return isInside ? Step::Done : Step::Failed;
}

/// Wide values that come from outside are made inside.
bool RowRegion::wantProducers() {
  bool more = false;
  for (const auto &[op, member] : members)
    for (auto [operand, rows] : llvm::zip_equal(op->getOperands(), member.operands)) {
      Operation *maker = operand.getDefiningOp();
      if (!maker || members.contains(maker) || maker->getNumResults() != 1 ||
          maker->hasTrait<OpTrait::ConstantLike>() ||
          kWider * numElements(operand) < numElements(anchor->getResult(0)) ||
          llvm::all_of(rows, [](const AxisList &list) { return list.empty(); }))
        continue;
      // One that does not work by rows stays outside.
      auto ruled = dyn_cast<graph::ShardingRuleOpInterface>(maker);
      if (!ruled)
        continue;
      const ShardingRule rule = ruled.getShardingRule();
      SmallVector<std::optional<AxisList>> bound(rule.factors.size());
      if (!bind(rule, rule.results[0], rows, bound) ||
          llvm::any_of(llvm::zip_equal(rule.factors, bound), [](const auto &pair) {
            const auto &[factor, list] = pair;
            return list && !list->empty() && factor.kind != FactorKind::PassThrough;
          }))
        continue;
      more |= producers.try_emplace(maker, rows).second;
    }
  return more;
}

/// Ops that depend on members and that members depend on.
bool RowRegion::wantBetween() {
  llvm::SetVector<Operation *> behind;
  Operation *last = members.back().first;
  for (auto it = anchor->getIterator(); &*it != last; ++it)
    if (!members.contains(&*it) && llvm::any_of(it->getOperands(), [&](Value operand) {
          return behind.contains(operand.getDefiningOp()) || dependsOnAnchor(operand);
        }))
      behind.insert(&*it);
  llvm::DenseSet<Operation *> leading;
  for (Operation *op : llvm::reverse(behind.getArrayRef()))
    if (llvm::any_of(op->getUsers(), [&](Operation *user) {
          return members.contains(user) || leading.contains(user);
        }))
      leading.insert(op);
  for (Operation *op : leading)
    between.insert(op);
  return !leading.empty();
}

/// A result of a composite op that its other members need as a whole may depend on operands alone
/// that are there before: then it is computed from these, in front of the op.
bool RowRegion::computeByItself(Value value) {
  Value alone = value;
  SmallVector<Operation *> inserted;
  auto dependsOnRegion = [&](Value root) {
    SmallVector<Value> work = {root};
    while (!work.empty()) {
      Value next = work.pop_back_val();
      if (rowsOf(next))
        return true;
      if (Operation *maker = next.getDefiningOp(); maker && llvm::is_contained(inserted, maker))
        llvm::append_range(work, maker->getOperands());
    }
    return false;
  };
  Operation *op = value.getDefiningOp();
  while (dependsOnRegion(alone)) {
    auto composite = alone.getDefiningOp<graph::DecomposableOpInterface>();
    if (!composite)
      break;
    OpBuilder builder(op);
    Operation *before = op->getPrevNode();
    FailureOr<SmallVector<Value>> values = composite.decompose(builder);
    if (failed(values))
      break;
    Operation *next = before ? before->getNextNode() : &op->getBlock()->front();
    for (; next != op; next = next->getNextNode()) {
      next->setAttr(graph::kPhaseAttr, op->getAttr(graph::kPhaseAttr));
      inserted.push_back(next);
    }
    alone = (*values)[cast<OpResult>(alone).getResultNumber()];
  }
  const bool isAlone = !dependsOnRegion(alone);
  if (isAlone)
    for (OpOperand &use : llvm::make_early_inc_range(value.getUses())) {
      replaced.push_back({&use, value});
      use.set(alone);
    }
  SmallVector<Operation *> kept;
  for (Operation *own : llvm::reverse(inserted)) {
    if (own->use_empty())
      own->erase();
    else
      kept.push_back(own);
  }
  built.insert(built.begin(), kept.begin(), kept.end());
  // What was between may not depend on the region any more.
  between.clear();
  producers.clear();
  return isAlone;
}

void RowRegion::undo() {
  for (auto [use, value] : replaced)
    use->set(value);
  for (Operation *op : built)
    op->erase();
}

//===------------------------------------------------------------------------------------------===//
// The border
//===------------------------------------------------------------------------------------------===//

SmallVector<OpResult> RowRegion::outputs() const {
  SmallVector<OpResult> results;
  for (const auto &[op, member] : members)
    for (OpResult result : op->getResults())
      if (member.dependsOnAnchor &&
          llvm::any_of(result.getUsers(), [&](Operation *user) { return !members.contains(user); }))
        results.push_back(result);
  return results;
}

std::optional<graph::ReductionKind> RowRegion::combination(OpResult output) const {
  return hasRows(output)
             ? std::nullopt
             : partsOf(members.find(output.getOwner())->second, output.getResultNumber());
}

SmallVector<Value> RowRegion::inputs() const {
  llvm::SetVector<Value> values;
  for (const auto &[op, member] : members)
    for (Value operand : op->getOperands())
      if (!rowsOf(operand))
        values.insert(operand);
  return values.takeVector();
}

} // namespace deepshard
