//===- RowLoops.cpp - a group of graph ops as loops over rows and columns ---------------------===//

#include "passes/kernels/rowloops/RowLoops.h"

using namespace mlir;

namespace deepshard {

/// What a user outside makes of a renamed value it can make of the value itself.
static bool isUsedOutside(Value value, const llvm::SmallDenseSet<Operation *> &members) {
  return llvm::any_of(value.getUsers(), [&](Operation *user) {
    return !members.contains(user) ||
           (isRenaming(user) && isUsedOutside(user->getResult(0), members));
  });
}

static int64_t bitsOf(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  return type.getNumElements() * type.getElementTypeBitWidth();
}

std::optional<RowLoops> RowLoops::of(ArrayRef<Operation *> ops) {
  RowLoops loops;
  loops.ops.assign(ops.begin(), ops.end());
  llvm::SmallDenseSet<Operation *> members(ops.begin(), ops.end());
  llvm::SetVector<Value> inputs;
  for (Operation *op : ops)
    for (Value operand : op->getOperands())
      if (!members.contains(operand.getDefiningOp()))
        inputs.insert(operand);
  loops.inputs.assign(inputs.begin(), inputs.end());
  for (Operation *op : ops)
    if (!isRenaming(op) && !isLeaf(op) && isUsedOutside(op->getResult(0), members))
      loops.outputs.push_back(op->getResult(0));
  // The first may take the place of an input.
  llvm::stable_sort(loops.outputs, [](Value a, Value b) { return bitsOf(a) > bitsOf(b); });
  if (!loops.schedule())
    return std::nullopt;
  return loops;
}

std::optional<RowLoops> RowLoops::of(func::FuncOp group) {
  RowLoops loops;
  Block &body = group.getBody().front();
  for (Operation &op : body.without_terminator())
    loops.ops.push_back(&op);
  llvm::append_range(loops.inputs, group.getArguments());
  llvm::append_range(loops.outputs, body.getTerminator()->getOperands());
  if (!loops.schedule())
    return std::nullopt;
  return loops;
}

bool RowLoops::schedule() {
  std::optional<IterationDomain> found = IterationDomain::of(ops, outputs);
  if (!found || found->getSizes().empty())
    return false;
  domain = std::move(*found);
  for (Operation *op : ops) {
    Value result = op->getResult(0);
    bool isReduction = IterationDomain::isReduction(op);
    unsigned first = 0;
    bool isAfterRows = false;
    // Dropout reads its counter and offsets from memory, whole.
    if (isa<graph::DropoutOp>(op) &&
        llvm::any_of(op->getOperands().drop_front(), [&](Value x) { return isInternal(x); }))
      return false;
    for (Value operand : op->getOperands())
      if (isInternal(operand)) {
        first = std::max(first, phaseOf(operand));
        isAfterRows |= afterRows.contains(operand);
      }
    if (isReduction) {
      bool isAlongRows = domain.directionOf(op) == Direction::AlongRows;
      (isAlongRows ? alongRows : alongColumns).push_back(op);
      phases = std::max(phases, first + 1);
      isAfterRows |= isAlongRows;
      if (!isAlongRows)
        ++first;
    }
    phaseOfValue[result] = first;
    Span span = domain.spanOf(result);
    if (isAfterRows) {
      // Known only when all rows are done.
      if (span != Span::Column || (isReduction && domain.directionOf(op) != Direction::AlongRows))
        return false;
      afterRows.insert(result);
    }
    if (span == Span::Full)
      phases = std::max(phases, first + 1);
  }
  // What is stored per column is computed behind the rows, from sums over rows and from inputs.
  for (Value output : outputs) {
    if (!isInternal(output) || isLeaf(output.getDefiningOp()) ||
        domain.spanOf(output) == Span::Scalar)
      return false;
  }
  return !outputs.empty();
}

unsigned RowLoops::lastRead(Value value) const {
  // A value may be computed again in any later phase from whatever it was computed from; only what
  // depends on the input by way of rows, or of a result that is read back, is known not to.
  unsigned last = 0;
  llvm::SmallVector<Value> work = {value};
  llvm::SmallDenseSet<Value> seen;
  while (!work.empty()) {
    Value next = work.pop_back_val();
    for (Operation *user : next.getUsers()) {
      if (user->getNumResults() == 0 || !isInternal(user->getResult(0)))
        continue;
      Value result = user->getResult(0);
      if (!seen.insert(result).second)
        continue;
      if (IterationDomain::isReduction(user)) {
        unsigned at = domain.directionOf(user) == Direction::AlongColumns ? phaseOf(result) - 1
                                                                          : phaseOf(result);
        last = std::max(last, at);
        continue;
      }
      last = std::max(last, phaseOf(result));
      if (!isStored(result))
        work.push_back(result);
    }
  }
  return last;
}

bool RowLoops::mayOverwrite(unsigned input, unsigned output) const {
  Value from = inputs[input], to = outputs[output];
  if (from.getType() != to.getType() || isLeaf(to.getDefiningOp()))
    return false;
  auto dimsOf = [&](Value value) { return SmallVector<int>(domain.dimsOf(value)); };
  // Dropout's counter and offsets run along no loop.
  if (llvm::any_of(from.getUsers(), [&](Operation *user) {
        auto dropout = dyn_cast<graph::DropoutOp>(user);
        return dropout && dropout.getX() != from;
      }))
    return false;
  if (dimsOf(from) != dimsOf(to))
    return false;
  Span span = domain.spanOf(to);
  if (span == Span::Full)
    return lastRead(from) <= phaseOf(to);
  // Sums over rows are stored when all rows are done; the rows must not read the input.
  if (span == Span::Column)
    return llvm::all_of(from.getUsers(), [&](Operation *user) {
      return !llvm::is_contained(ops, user) || afterRows.contains(user->getResult(0));
    });
  return false;
}

} // namespace deepshard
