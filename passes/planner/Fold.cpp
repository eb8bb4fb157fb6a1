//===- Fold.cpp - the repeated blocks of a function -------------------------------------------===//

#include "passes/planner/Fold.h"

#include "dialects/graph/Graph.h"
#include "dialects/sharding/Sharding.h"
#include "passes/planner/SavedValues.h"

#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/StringMap.h"

#include <map>

using namespace mlir;

namespace deepshard {

namespace {

/// Cuts a function into segments.
class Cutter {
public:
  explicit Cutter(func::FuncOp function) : function(function) {}

  SmallVector<Segment, 0> run() {
    findCarriers();
    cutForward();
    assignBackward();
    return std::move(segments);
  }

private:
  /// What carries state: values that depend on a parameter.
  void findCarriers() {
    for (BlockArgument argument : function.getArguments())
      if (function.getArgAttr(argument.getArgNumber(), graph::kParameterAttr))
        carriers.insert(argument);
    for (Operation &op : function.getBody().front().without_terminator())
      if (llvm::any_of(op.getOperands(), [&](Value value) { return carriers.contains(value); }))
        carriers.insert(op.result_begin(), op.result_end());
  }

  SmallVector<Operation *> forwardOps() {
    SmallVector<Operation *> ops;
    for (Operation &op : function.getBody().front().without_terminator())
      if (!isBackward(&op) && op.getNumResults() != 0 && carriers.contains(op.getResult(0)))
        ops.push_back(&op);
    return ops;
  }

  void cutForward() {
    SmallVector<Operation *> ops = forwardOps();
    llvm::DenseMap<Value, unsigned> readers; // forward ones that are still to come
    for (Operation *op : ops)
      for (Value operand : op->getOperands())
        if (operand.getDefiningOp() && carriers.contains(operand))
          ++readers[operand];
    llvm::DenseSet<Value> live;
    Segment segment;
    for (Operation *op : ops) {
      segment.ops.push_back(op);
      for (Value operand : op->getOperands())
        if (auto it = readers.find(operand); it != readers.end() && --it->second == 0)
          live.erase(operand);
      for (Value result : op->getResults())
        if (readers.contains(result))
          live.insert(result);
      if (live.size() == 1) {
        separators[*live.begin()] = segments.size();
        segment.end = *live.begin();
        close(segment);
      }
    }
    if (!segment.ops.empty())
      close(segment);
  }

  void close(Segment &segment) {
    for (Operation *op : segment.ops)
      segmentOf[op] = segments.size();
    segments.push_back(std::move(segment));
    segment = {};
  }

  void assignBackward() {
    SmallVector<Operation *> ops;
    for (Operation &op : function.getBody().front().without_terminator())
      if (isBackward(&op) && carriers.contains(op.getResult(0)))
        ops.push_back(&op);
    findReadersOfParameters();
    for (Operation *op : ops)
      if (std::optional<size_t> segment = earliestRead(op))
        segmentOf[op] = *segment;
    for (Operation *op : llvm::reverse(ops))
      if (!segmentOf.contains(op))
        if (std::optional<size_t> segment = earliestReader(op))
          segmentOf[op] = *segment;
    for (Operation *op : ops)
      if (auto it = segmentOf.find(op); it != segmentOf.end())
        segments[it->second].ops.push_back(op);
  }

  /// The earliest segment of which an op reads a forward value; else that whose parameter it reads;
  /// for a sum, that of which it adds up gradients. Nothing for what only hands on one gradient.
  std::optional<size_t> earliestRead(Operation *op) {
    std::optional<size_t> kept, added;
    unsigned gradients = 0;
    for (Operation *maker : llvm::map_range(
             op->getOperands(), [](Value operand) { return operand.getDefiningOp(); })) {
      if (!maker)
        continue;
      auto it = segmentOf.find(maker);
      if (isBackward(maker)) {
        ++gradients;
        if (it != segmentOf.end())
          added = std::min(added.value_or(SIZE_MAX), it->second);
      } else if (it != segmentOf.end()) {
        kept = std::min(kept.value_or(SIZE_MAX), it->second);
      }
    }
    // The separator at the end of a segment is the input of the next.
    for (Value operand : op->getOperands())
      if (auto it = separators.find(operand); it != separators.end() && kept == it->second)
        kept = std::min(*kept + 1, segments.size() - 1);
    if (!kept)
      kept = segmentOfParameter(op, added);
    return kept ? kept : gradients > 1 ? added : std::nullopt;
  }

  /// The segment in which the parameter that a backward op reads was read: of several (a tied
  /// table) the last one in front of what made the gradients that the op reads.
  std::optional<size_t> segmentOfParameter(Operation *op, std::optional<size_t> gradients) {
    for (Value operand : op->getOperands()) {
      auto it = readersOf.find(operand);
      if (it == readersOf.end())
        continue;
      auto behind = llvm::upper_bound(it->second, gradients.value_or(SIZE_MAX));
      return behind == it->second.begin() ? it->second.front() : *std::prev(behind);
    }
    return std::nullopt;
  }

  /// The earliest segment that reads a result; gradients of parameters are read where these are.
  std::optional<size_t> earliestReader(Operation *op) {
    std::optional<size_t> earliest;
    auto add = [&](size_t segment) { earliest = std::min(earliest.value_or(SIZE_MAX), segment); };
    for (OpOperand &use : op->getUses()) {
      if (auto it = segmentOf.find(use.getOwner()); it != segmentOf.end())
        add(it->second);
      if (!isa<func::ReturnOp>(use.getOwner()))
        continue;
      auto name =
          function.getResultAttrOfType<StringAttr>(use.getOperandNumber(), graph::kGradientAttr);
      if (auto it = name ? firstReaders.find(name.getValue()) : firstReaders.end();
          it != firstReaders.end())
        add(it->second);
    }
    return earliest;
  }

  void findReadersOfParameters() {
    for (size_t i = 0; i < segments.size(); ++i)
      for (Operation *op : segments[i].ops)
        for (Value operand : op->getOperands())
          if (auto argument = dyn_cast<BlockArgument>(operand))
            if (auto name = function.getArgAttrOfType<StringAttr>(argument.getArgNumber(),
                                                                  graph::kParameterAttr)) {
              firstReaders.try_emplace(name.getValue(), i);
              if (SmallVector<size_t, 1> &readers = readersOf[operand];
                  readers.empty() || readers.back() != i)
                readers.push_back(i);
            }
  }

  func::FuncOp function;
  llvm::DenseSet<Value> carriers;
  llvm::DenseMap<Value, size_t> separators;                // the segment that each one ends
  llvm::DenseMap<Value, SmallVector<size_t, 1>> readersOf; // segments that read a parameter
  llvm::StringMap<size_t> firstReaders;                    // the first of them, by its name
  llvm::DenseMap<Operation *, size_t> segmentOf;
  SmallVector<Segment, 0> segments;
};

/// What a segment is, as numbers: two are equal if and only if these are.
class Description {
public:
  Description(func::FuncOp function, FoldBy by) : function(function), by(by) {}

  std::vector<uintptr_t> of(const Segment &segment) {
    for (Operation *op : segment.ops)
      add(op);
    return std::move(text);
  }

private:
  void add(Attribute attribute) {
    text.push_back(reinterpret_cast<uintptr_t>(attribute.getAsOpaquePointer()));
  }
  void add(Type type) { text.push_back(reinterpret_cast<uintptr_t>(type.getAsOpaquePointer())); }

  void add(Operation *op) {
    text.push_back(reinterpret_cast<uintptr_t>(op->getName().getAsOpaquePointer()));
    for (NamedAttribute attribute : op->getAttrDictionary())
      // An id says which op it is, not what kind of op.
      if (attribute.getName() != "id" && !isIgnored(attribute)) {
        add(attribute.getName());
        add(attribute.getValue());
      }
    for (Value operand : op->getOperands())
      addOperand(operand);
    for (Value result : op->getResults()) {
      add(result.getType());
      numbers.try_emplace(result, numbers.size());
    }
  }

  bool isIgnored(NamedAttribute attribute) {
    return by == FoldBy::Computation &&
           isa_and_nonnull<sharding::ShardingDialect>(attribute.getNameDialect());
  }

  /// Values are numbered in the order in which the segment meets them. What it did not make is
  /// described when it is met.
  void addOperand(Value operand) {
    auto [it, isNew] = numbers.try_emplace(operand, numbers.size());
    text.push_back(it->second);
    if (!isNew)
      return;
    add(operand.getType());
    auto argument = dyn_cast<BlockArgument>(operand);
    if (!argument)
      return addMaker(operand.getDefiningOp());
    if (by == FoldBy::ComputationAndLayouts)
      add(function.getArgAttr(argument.getArgNumber(), sharding::kLayoutAttr));
    add(function.getArgAttr(argument.getArgNumber(), graph::kInputAttr));
  }

  /// Constants are told apart by what they hold.
  void addMaker(Operation *op) {
    if (op->getNumOperands() == 0)
      add(op->getAttrDictionary());
  }

  func::FuncOp function;
  FoldBy by;
  llvm::DenseMap<Value, size_t> numbers;
  std::vector<uintptr_t> text;
};

} // namespace

SmallVector<Run> findRuns(ArrayRef<unsigned> kinds) {
  SmallVector<Run> runs;
  for (size_t first = 0; first < kinds.size();) {
    Run best{first, 1, 1};
    for (size_t length = 1; first + 2 * length <= kinds.size(); ++length) {
      size_t count = 1;
      while (first + (count + 1) * length <= kinds.size() &&
             std::equal(kinds.begin() + first, kinds.begin() + first + length,
                        kinds.begin() + first + count * length))
        ++count;
      if (count > 1 && count * length > best.count * best.length)
        best = {first, length, count};
    }
    runs.push_back(best);
    first += best.length * best.count;
  }
  return runs;
}

Fold::Fold(func::FuncOp function, FoldBy by) : segments(Cutter(function).run()) {
  std::map<std::vector<uintptr_t>, unsigned> known;
  SmallVector<unsigned> kinds;
  for (Segment &segment : segments) {
    segment.kind =
        known.try_emplace(Description(function, by).of(segment), known.size()).first->second;
    kinds.push_back(segment.kind);
  }
  runs = findRuns(kinds);
}

} // namespace deepshard
