//===- FuseKernels.cpp - groups of ops become one kernel --------------------------------------===//
//
// A unit is an op or a group of ops. Ops join the groups of their operands as long as that saves
// bytes, the group still fits one nest of loops, and no path leads from the group out and back in.
// Near-linear: an op is tried against the few groups it reads from, and paths are only searched
// among units that depend on something behind the group's first op.
//
//===------------------------------------------------------------------------------------------===//

#include "passes/kernels/Passes.h"

#include "dialects/graph/KernelAttrs.h"
#include "passes/kernels/KernelNames.h"
#include "passes/kernels/KernelSpecs.h"
#include "passes/kernels/rowloops/RowKernel.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/StringMap.h"

#include <queue>

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_FUSEKERNELSPASS
#include "passes/kernels/Passes.h.inc"

namespace {

/// Bounds that keep a kernel in the registers and the compiler quick.
constexpr size_t kMaxOps = 96, kMaxOperands = 32;
/// Ops that only read the same are put side by side if no more ops lie between them: what they make
/// lives longer then.
constexpr int64_t kNear = 64;

struct Group {
  SmallVector<Operation *> ops; // in the order of the program, without leaves and renamings
  int64_t bytes = 0;            // read and written
};

int64_t bytesOf(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  return type.getNumElements() * std::max(1u, type.getElementTypeBitWidth() / 8);
}

class Fusion {
public:
  Fusion(func::FuncOp function, int threads, SymbolTable &symbols,
         llvm::StringMap<func::FuncOp> &kernels)
      : function(function), threads(threads), symbols(symbols), kernels(kernels) {}

  void run();

private:
  bool isMember(Operation *op) const {
    auto provider = op->getAttrOfType<StringAttr>(graph::kProviderAttr);
    return provider && provider.getValue() == kGeneratedProvider;
  }
  void join(Operation *op);
  /// The groups that compute operands of `op`, or read what it reads nearby.
  SmallVector<Group *> neighbours(Operation *op);
  bool fits(Group &group);
  bool isConvex(const Group &group);
  /// What depends on the group depends on all its ops now, the last at `position` included.
  void spreadLatest(const Group &group, int64_t position);
  /// The ops with the leaves and renamings between them.
  SmallVector<Operation *> withGlue(ArrayRef<Operation *> ops);

  void outline(Group &group);
  func::FuncOp kernelOf(const RowLoops &loops, ArrayRef<Operation *> ops, ArrayRef<Value> ids);
  void sort();

  func::FuncOp function;
  int threads;
  SymbolTable &symbols;
  llvm::StringMap<func::FuncOp> &kernels; // by text
  std::vector<std::unique_ptr<Group>> groups;
  llvm::DenseMap<Operation *, Group *> groupOf;
  /// Ops that fit no loops with the iotas they read: of two dimensions at once, or of one among
  /// several of columns. Their groups read iotas from memory.
  llvm::SmallDenseSet<Operation *> readsCounts;
  llvm::DenseMap<Operation *, int64_t> positions;
  /// The last position among the op's unit and all units that it depends on.
  llvm::DenseMap<Operation *, int64_t> latest;
};

void Fusion::run() {
  // What nobody reads is no kernel.
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(function.getBody().front())))
    if (isOpTriviallyDead(&op))
      op.erase();
  SmallVector<Operation *> ops;
  for (Operation &op : function.getBody().front()) {
    positions[&op] = static_cast<int64_t>(ops.size());
    ops.push_back(&op);
  }
  for (Operation *op : ops) {
    int64_t last = positions[op];
    for (Value operand : op->getOperands())
      if (Operation *producer = operand.getDefiningOp())
        last = std::max(last, latest.lookup(producer));
    latest[op] = last;
    if (isMember(op))
      join(op);
  }
  for (auto &group : groups)
    if (!group->ops.empty())
      outline(*group);
  sort();
}

SmallVector<Group *> Fusion::neighbours(Operation *op) {
  llvm::SmallSetVector<Group *, 4> result;
  auto add = [&](Operation *other) {
    if (Group *group = other ? groupOf.lookup(other) : nullptr)
      result.insert(group);
  };
  for (Value operand : op->getOperands()) {
    Operation *producer = operand.getDefiningOp();
    while (producer && isRenaming(producer))
      producer = producer->getOperand(0).getDefiningOp();
    add(producer);
    for (Operation *user : operand.getUsers())
      if (user->getBlock() == op->getBlock() && std::abs(positions[user] - positions[op]) <= kNear)
        add(user);
  }
  return result.takeVector();
}

SmallVector<Operation *> Fusion::withGlue(ArrayRef<Operation *> ops) {
  llvm::SmallDenseSet<Operation *> members(ops.begin(), ops.end());
  const bool counts = llvm::none_of(ops, [&](Operation *op) { return readsCounts.contains(op); });
  // A renaming belongs to the group if what it renames does.
  llvm::SmallDenseMap<Operation *, bool> known;
  std::function<bool(Operation *)> isGlue = [&](Operation *op) {
    if (!op || members.contains(op))
      return op != nullptr;
    if (isLeaf(op))
      return isFusible(op) && (!isa<graph::IotaOp>(op) || counts);
    return isRenaming(op) && isGlue(op->getOperand(0).getDefiningOp());
  };
  llvm::SetVector<Operation *> all(ops.begin(), ops.end());
  for (size_t i = 0; i < all.size(); ++i)
    for (Value operand : all[i]->getOperands())
      if (Operation *producer = operand.getDefiningOp(); producer && isGlue(producer)) {
        // Dropout's counter is read whole.
        bool isElement = !isa<graph::DropoutOp>(all[i]) || operand == all[i]->getOperand(0);
        if (isElement)
          all.insert(producer);
      }
  SmallVector<Operation *> result = all.takeVector();
  llvm::sort(result, [&](Operation *a, Operation *b) { return positions[a] < positions[b]; });
  return result;
}

bool Fusion::fits(Group &group) {
  if (group.ops.size() > kMaxOps)
    return false;
  std::optional<RowLoops> loops = RowLoops::of(withGlue(group.ops));
  if (!loops || loops->getInputs().size() + loops->getOutputs().size() > kMaxOperands)
    return false;
  group.bytes = 0;
  for (ArrayRef<Value> values : {loops->getInputs(), loops->getOutputs()})
    for (Value value : values)
      group.bytes += bytesOf(value);
  return RowKernel::ofContiguous(std::move(*loops), threads).has_value();
}

bool Fusion::isConvex(const Group &group) {
  SmallVector<Operation *> ops = withGlue(group.ops);
  llvm::SmallDenseSet<Operation *> members(ops.begin(), ops.end());
  int64_t first = positions[group.ops.front()];
  llvm::SmallDenseSet<Operation *> seen;
  SmallVector<Operation *> work;
  auto push = [&](Operation *op) {
    for (Value operand : op->getOperands())
      // A leaf is no path: who reads it can have its own.
      if (Operation *producer = operand.getDefiningOp(); producer && !isLeaf(producer))
        work.push_back(producer);
  };
  for (Operation *op : ops)
    push(op);
  llvm::erase_if(work, [&](Operation *op) { return members.contains(op); });
  while (!work.empty()) {
    Operation *op = work.pop_back_val();
    if (members.contains(op))
      return false;
    if (!seen.insert(op).second || latest[op] < first)
      continue;
    Group *other = groupOf.lookup(op);
    if (!other) {
      push(op);
      continue;
    }
    for (Operation *member : other->ops) {
      seen.insert(member);
      push(member);
    }
  }
  return true;
}

void Fusion::spreadLatest(const Group &group, int64_t position) {
  SmallVector<Operation *> work(group.ops);
  while (!work.empty()) {
    Operation *op = work.pop_back_val();
    latest[op] = position;
    auto visit = [&](Operation *other) {
      // What comes later in the program has not been looked at yet.
      auto it = latest.find(other);
      if (it != latest.end() && it->second < position) {
        it->second = position;
        work.push_back(other);
      }
    };
    for (Operation *user : op->getUsers())
      visit(user);
    if (Group *own = groupOf.lookup(op))
      llvm::for_each(own->ops, visit);
  }
}

void Fusion::join(Operation *op) {
  auto own = std::make_unique<Group>();
  own->ops = {op};
  if (!fits(*own)) {
    readsCounts.insert(op);
    if (!fits(*own))
      return;
  }
  groupOf[op] = own.get();
  groups.push_back(std::move(own));
  // The one that saves most first.
  SmallVector<Group *> from = llvm::filter_to_vector(neighbours(op), [&](Group *group) {
    Operation *other = group->ops.front();
    return group != groupOf[op] &&
           llvm::all_of(ArrayRef<StringRef>{graph::kPhaseAttr, graph::kChunkAttr},
                        [&](StringRef name) { return other->getAttr(name) == op->getAttr(name); });
  });
  while (!from.empty()) {
    Group *current = groupOf[op];
    Group *best = nullptr;
    Group bestMerged;
    int64_t bestSaved = 0;
    for (Group *producer : from) {
      Group merged;
      llvm::append_range(merged.ops, producer->ops);
      llvm::append_range(merged.ops, current->ops);
      llvm::sort(merged.ops,
                 [&](Operation *a, Operation *b) { return positions[a] < positions[b]; });
      if (!fits(merged) || !isConvex(merged))
        continue;
      int64_t saved = producer->bytes + current->bytes - merged.bytes;
      if (saved > bestSaved) {
        best = producer;
        bestSaved = saved;
        bestMerged = merged;
      }
    }
    if (!best)
      return;
    llvm::erase(from, best);
    best->ops.clear();
    *current = bestMerged;
    for (Operation *member : current->ops)
      groupOf[member] = current;
    spreadLatest(*current, positions[op]);
  }
}

//===------------------------------------------------------------------------------------------===//
// Functions
//===------------------------------------------------------------------------------------------===//

func::FuncOp Fusion::kernelOf(const RowLoops &loops, ArrayRef<Operation *> ops,
                              ArrayRef<Value> ids) {
  MLIRContext *context = function.getContext();
  OpBuilder builder(context);
  SmallVector<Type> inputs, outputs;
  for (Value input : loops.getInputs())
    inputs.push_back(input.getType());
  for (Value id : ids)
    inputs.push_back(id.getType());
  for (Value output : loops.getOutputs())
    outputs.push_back(output.getType());
  auto kernel = func::FuncOp::create(builder, builder.getUnknownLoc(), "kernel",
                                     builder.getFunctionType(inputs, outputs));
  kernel.setPrivate();
  builder.setInsertionPointToStart(kernel.addEntryBlock());
  IRMapping mapping;
  for (auto [input, argument] : llvm::zip(loops.getInputs(), kernel.getArguments()))
    mapping.map(input, argument);
  auto cloneInto = [&](Operation *op) {
    Operation *clone = builder.clone(*op, mapping);
    clone->setLoc(builder.getUnknownLoc());
    for (StringRef name : {graph::kPhaseAttr, graph::kChunkAttr, graph::kProviderAttr})
      clone->removeAttr(name);
    return clone;
  };
  size_t nextId = loops.getInputs().size();
  for (Operation *op : ops) {
    if (isLeaf(op))
      continue;
    // Leaves stand where they are first read, wherever they stood: equal groups look equal.
    for (Value operand : op->getOperands())
      if (isLeaf(operand.getDefiningOp()) && !mapping.contains(operand))
        cloneInto(operand.getDefiningOp());
    Operation *clone = cloneInto(op);
    if (auto dropout = dyn_cast<graph::DropoutOp>(clone)) {
      dropout.setId(0);
      dropout->setAttr(graph::kIdArgumentAttr, builder.getI64IntegerAttr(nextId++));
    }
  }
  SmallVector<Value> results =
      llvm::map_to_vector(loops.getOutputs(), [&](Value output) { return mapping.lookup(output); });
  func::ReturnOp::create(builder, builder.getUnknownLoc(), results);

  std::string text;
  llvm::raw_string_ostream(text) << kernel;
  auto [known, isNew] = kernels.try_emplace(text, kernel);
  if (!isNew) {
    kernel.erase();
    return known->second;
  }
  kernel->setAttr(graph::kHoldsAttr, builder.getStringAttr(nameOf(ops)));
  kernel.setName(("kernel_" + llvm::Twine(kernels.size() - 1)).str());
  symbols.insert(kernel);
  return kernel;
}

void Fusion::outline(Group &group) {
  SmallVector<Operation *> ops = withGlue(group.ops);
  std::optional<RowLoops> loops = RowLoops::of(ops);
  OpBuilder builder(group.ops.back());
  SmallVector<Value> operands(loops->getInputs()), ids;
  for (Operation *op : ops)
    if (auto dropout = dyn_cast<graph::DropoutOp>(op)) {
      auto id = graph::ConstantOp::create(
          builder, op->getLoc(),
          DenseElementsAttr::get(RankedTensorType::get({}, builder.getI64Type()),
                                 dropout.getIdAttr().getInt()));
      ids.push_back(id);
    }
  func::FuncOp kernel = kernelOf(*loops, ops, ids);
  llvm::append_range(operands, ids);
  auto call = func::CallOp::create(builder, group.ops.front()->getLoc(), kernel, operands);
  call->setAttr(graph::kProviderAttr, builder.getStringAttr(kGeneratedProvider));
  if (Attribute phase = group.ops.front()->getAttr(graph::kPhaseAttr))
    call->setAttr(graph::kPhaseAttr, phase);
  SmallVector<Value> outputs(loops->getOutputs());
  for (auto [output, result] : llvm::zip_equal(outputs, call.getResults()))
    output.replaceAllUsesWith(result);
  int64_t position = positions.lookup(group.ops.front());
  for (Operation *op : llvm::reverse(ops))
    if (op->use_empty()) {
      positions.erase(op);
      op->erase();
    }
  positions[call] = position;
  for (Value id : ids)
    positions[id.getDefiningOp()] = position;
}

/// Everything is put in an order that computes operands first and else is as near as possible to
/// the old one; a group wants to stand where its first op stood.
void Fusion::sort() {
  Block &block = function.getBody().front();
  llvm::DenseMap<Operation *, unsigned> waiting;
  using Entry = std::pair<int64_t, unsigned>; // place, tie
  SmallVector<Operation *> ops;
  llvm::DenseMap<Operation *, unsigned> index;
  for (Operation &op : block.without_terminator()) {
    index[&op] = ops.size();
    ops.push_back(&op);
  }
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> ready;
  auto placeOf = [&](Operation *op) { return positions.lookup(op); };
  for (Operation *op : ops) {
    llvm::SmallDenseSet<Operation *> producers;
    for (Value operand : op->getOperands())
      if (Operation *producer = operand.getDefiningOp())
        producers.insert(producer);
    waiting[op] = producers.size();
    if (producers.empty())
      ready.emplace(placeOf(op), index[op]);
  }
  Operation *terminator = block.getTerminator();
  while (!ready.empty()) {
    Operation *op = ops[ready.top().second];
    ready.pop();
    op->moveBefore(terminator);
    llvm::SmallDenseSet<Operation *> users(op->user_begin(), op->user_end());
    for (Operation *user : users)
      if (user != terminator && --waiting[user] == 0)
        ready.emplace(placeOf(user), index[user]);
  }
}

struct FuseKernels : impl::FuseKernelsPassBase<FuseKernels> {
  using FuseKernelsPassBase::FuseKernelsPassBase;

  void runOnOperation() override {
    llvm::StringMap<func::FuncOp> kernels;
    SymbolTable symbols(getOperation());
    SmallVector<func::FuncOp> functions(getOperation().getOps<func::FuncOp>());
    for (func::FuncOp function : functions)
      if (!function.isExternal())
        Fusion(function, threads, symbols, kernels).run();
  }
};

} // namespace
} // namespace deepshard
