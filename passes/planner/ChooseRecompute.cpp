//===- ChooseRecompute.cpp - what the backward computes again ---------------------------------===//

#include "passes/planner/Passes.h"

#include "passes/Quantities.h"
#include "passes/planner/CheapRecompute.h"
#include "passes/planner/Fold.h"
#include "passes/planner/SavedValues.h"

#include "mlir/IR/Remarks.h"
#include "llvm/ADT/DenseSet.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_CHOOSERECOMPUTE
#include "passes/planner/Passes.h.inc"

namespace {

/// An elementwise op of a large tensor reads and writes two or three bytes for each that it saves;
/// 16 is a chain of half a dozen (a normalisation or an activation that is written out), which
/// still takes a small part of the time of the matmul beside it.
constexpr int64_t kMovedPerKept = 16;

/// Consecutive segments of which only what later ones read is kept.
using Group = ArrayRef<Segment>;

/// The groups of a forward: of blocks that repeat, so many together that about `inputs` inputs are
/// kept (0: one by one); of the segments in front of the last repeated block, each for itself. What
/// comes behind that (the head) is left alone: its backward follows at once. Without repeated
/// blocks that is the last segment.
SmallVector<Group> groupsOf(const Fold &fold, int64_t inputs) {
  size_t repeated = 0, end = fold.segments.empty() ? 0 : fold.segments.size() - 1;
  for (const Run &run : fold.runs)
    if (run.count > 1) {
      repeated += run.count;
      end = run.first + run.count * run.length;
    }
  const size_t together = inputs > 0 ? std::max<size_t>(1, llvm::divideCeil(repeated, inputs)) : 1;
  SmallVector<Group> groups;
  for (const Run &run : fold.runs) {
    const size_t most = run.count > 1 ? run.length * together : 1;
    const size_t last = std::min(run.first + run.count * run.length, end);
    for (size_t first = run.first; first < last; first += most)
      groups.push_back(Group(fold.segments).slice(first, std::min(most, last - first)));
  }
  return groups;
}

void markGroup(Group group, StringAttr mark) {
  llvm::SetVector<Operation *> ops;
  for (const Segment &segment : group)
    for (Operation *op : segment.ops)
      if (isForward(op))
        ops.insert(op);
  for (Operation *op : ops)
    if (llvm::none_of(op->getUsers(),
                      [&](Operation *user) { return isForward(user) && !ops.contains(user); }))
      op->setAttr(graph::kRecomputeAttr, mark);
}

//===------------------------------------------------------------------------------------------===//
// Remarks
//===------------------------------------------------------------------------------------------===//

/// What some ops leave for the backward, and what they are computed again.
struct Work {
  int64_t before = 0, after = 0; // bytes kept without marks, with them
  int64_t flops = 0;             // of what is computed again

  std::string text() const {
    return "keeps " + bytesText(after) + " for the backward instead of " + bytesText(before) +
           " and computes " + llvm::formatv("{0:F3}", static_cast<double>(flops) * 1e-9).str() +
           " GFLOP again";
  }
};

class Explanation {
public:
  explicit Explanation(func::FuncOp function)
      : function(function), sizes(function), before(savedValues(function, false)),
        after(savedValues(function, true)) {}

  void say(const Fold &fold) {
    auto options = remark::RemarkOpts::name("choose-recompute").category("recompute");
    for (const Run &run : fold.runs) {
      llvm::DenseSet<Operation *> ops;
      for (const Segment &segment : Group(fold.segments).slice(run.first, run.length))
        ops.insert(segment.ops.begin(), segment.ops.end());
      const Work work = workOf([&](Operation *op) { return ops.contains(op); });
      if (work.before == work.after && work.flops == 0)
        continue;
      std::string text = run.count > 1 ? "each of " + std::to_string(run.count) + " equal blocks "
                                       : "the segment that begins here ";
      remark::passed(fold.segments[run.first].ops.front()->getLoc(), options) << text + work.text();
    }
    remark::passed(function.getLoc(), options)
        << "a micro-batch " + workOf([](Operation *) { return true; }).text();
  }

private:
  Work workOf(function_ref<bool(Operation *)> isIn) const {
    Work work;
    auto add = [&](const SavedValues &saved, int64_t &bytes) {
      for (Value value : saved.kept)
        if (isIn(value.getDefiningOp()))
          bytes += sizes.bytes(value);
    };
    add(before, work.before);
    add(after, work.after);
    for (Operation *op : after.recomputed)
      if (isIn(op))
        work.flops += sizes.cost(op).flops;
    return work;
  }

  func::FuncOp function;
  LocalSizes sizes;
  SavedValues before, after;
};

struct ChooseRecomputePass : impl::ChooseRecomputeBase<ChooseRecomputePass> {
  using ChooseRecomputeBase::ChooseRecomputeBase;

  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal())
      return;
    if (mode != graph::kRecomputeFull && mode != graph::kRecomputeSelective) {
      function.emitError("choose-recompute: mode is \"")
          << mode << "\"; expected \"full\" or \"selective\"";
      return signalPassFailure();
    }
    // Layers are equal even where their layouts differ at the ends of the network.
    const Fold fold(function, FoldBy::Computation);
    auto mark = StringAttr::get(&getContext(), mode);
    if (mode == graph::kRecomputeFull) {
      SmallVector<Group> groups = groupsOf(fold, inputs);
      for (Group group : groups)
        markGroup(group, mark);
      if (groups.empty())
        function.emitWarning("nothing is recomputed: there is no point in the forward at which one "
                             "value carries all that was computed so far");
    } else {
      for (Operation *op : cheapToRecompute(function, kMovedPerKept))
        op->setAttr(graph::kRecomputeAttr, mark);
    }
    Explanation(function).say(fold);
  }
};

} // namespace
} // namespace deepshard
