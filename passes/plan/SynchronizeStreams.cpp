//===- SynchronizeStreams.cpp - events between the streams of a program -----------------------===//
//
// Tasks of one stream run in order; between streams only events order them. Inside a segment, in
// the order of its tasks:
//
//   a task of another stream    waits for all that the compute stream did before it. So bytes that
//                               it writes may lie where a value of the compute stream died, which
//                               is what lets pack-buffers treat the task's place in the segment as
//                               its earliest time
//   a task of the compute       waits for each earlier task of another stream with which it
//   stream                      conflicts: one of them writes a buffer that the other uses
//   the compute stream          waits for all but the last kMostBehind tasks of another stream:
//                               what they use is not free before, and reduced buckets pile up
//   the end of the segment      the compute stream waits for what the others still do
//
// State: per stream the last task, the event that marks it (if recorded), and what the compute
// stream has waited for. Invariant: whatever the compute stream has not waited for is `pending`.
// O(tasks + uses).
//
//===------------------------------------------------------------------------------------------===//

#include "passes/plan/Passes.h"

#include "dialects/plan/Plan.h"
#include "passes/plan/ProgramLowering.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_SYNCHRONIZESTREAMSPASS
#include "passes/plan/Passes.h.inc"

namespace {

/// Two reductions in flight behind the bucket that is computed, and a gather ahead of it.
constexpr size_t kMostBehind = 3;

/// The buffers a task uses, and whether it writes them.
SmallVector<std::pair<Value, bool>> usesOf(plan::TaskOpInterface task) {
  SmallVector<std::pair<Value, bool>> uses;
  for (bool writes : {false, true})
    for (Value view : writes ? task.getWrittenViews() : task.getReadViews())
      uses.push_back({view.getDefiningOp<plan::ViewOp>().getBuffer(), writes});
  return uses;
}

/// A task of another stream that the compute stream has not waited for.
struct Pending {
  plan::TaskOpInterface task;
  SmallVector<std::pair<Value, bool>> uses;
};

class SegmentStreams {
public:
  SegmentStreams(plan::SegmentOp segment, int64_t &events)
      : segment(segment), events(events), builder(segment.getContext()) {}

  void run() {
    SmallVector<plan::TaskOpInterface> tasks;
    for (Operation &op : segment.getBody().getOps())
      if (auto task = dyn_cast<plan::TaskOpInterface>(op))
        tasks.push_back(task);
    for (plan::TaskOpInterface task : tasks) {
      if (task.getTaskStream() == plan::kComputeStream)
        join(task, usesOf(task));
      else
        follow(task);
    }
    builder.setInsertionPointToEnd(&segment.getBody().front());
    while (!pending.empty())
      waitFor(pending.size() - 1, segment.getLoc());
  }

private:
  /// Holds the stream of `task` until the compute stream has come here.
  void follow(plan::TaskOpInterface task) {
    builder.setInsertionPoint(task);
    if (computeMoved) {
      computeEvent = events++;
      plan::RecordOp::create(builder, task.getLoc(), computeEvent, plan::kComputeStream);
      computeMoved = false;
      followers.clear();
    }
    int64_t stream = task.getTaskStream();
    if (computeEvent >= 0 && followers.insert(stream).second)
      plan::WaitOp::create(builder, task.getLoc(), computeEvent, stream);
    pending.push_back({task, usesOf(task)});
    SmallVector<size_t> behind;
    for (auto [index, other] : llvm::enumerate(pending))
      if (plan::TaskOpInterface(other.task).getTaskStream() == stream)
        behind.push_back(index);
    if (behind.size() > kMostBehind) {
      builder.setInsertionPointAfter(task);
      waitFor(behind[behind.size() - kMostBehind - 1], task.getLoc());
    }
  }

  /// Holds the compute stream until every pending task is over that `uses` conflict with.
  void join(plan::TaskOpInterface task, ArrayRef<std::pair<Value, bool>> uses) {
    builder.setInsertionPoint(task);
    for (size_t i = pending.size(); i-- > 0;)
      if (i < pending.size() && conflict(pending[i].uses, uses))
        waitFor(i, task.getLoc());
    computeMoved = true;
  }

  static bool conflict(ArrayRef<std::pair<Value, bool>> a, ArrayRef<std::pair<Value, bool>> b) {
    return llvm::any_of(a, [&](const auto &first) {
      return llvm::any_of(b, [&](const auto &second) {
        return first.first == second.first && (first.second || second.second);
      });
    });
  }

  /// The compute stream waits for a pending task, and so for all before it on that task's stream.
  void waitFor(size_t index, Location location) {
    plan::TaskOpInterface task = pending[index].task;
    int64_t stream = task.getTaskStream(), event = events++;
    {
      OpBuilder::InsertionGuard guard(builder);
      builder.setInsertionPointAfter(task);
      plan::RecordOp::create(builder, task.getLoc(), event, stream);
    }
    plan::WaitOp::create(builder, location, event, plan::kComputeStream);
    size_t position = 0;
    llvm::erase_if(pending, [&](const Pending &earlier) {
      return position++ <= index && plan::TaskOpInterface(earlier.task).getTaskStream() == stream;
    });
    computeMoved = true;
  }

  plan::SegmentOp segment;
  int64_t &events;
  OpBuilder builder;
  SmallVector<Pending> pending; // in the order of the segment
  bool computeMoved = true;     // since computeEvent was recorded; true at the start: the segments
                                // before this one are to be over
  int64_t computeEvent = -1;
  llvm::SmallDenseSet<int64_t> followers; // streams that waited for computeEvent
};

struct SynchronizeStreams : impl::SynchronizeStreamsPassBase<SynchronizeStreams> {
  void runOnOperation() override {
    int64_t events = 0;
    getOperation().walk(
        [&](plan::RecordOp record) { events = std::max<int64_t>(events, record.getEvent() + 1); });
    for (auto segment : getOperation().getBody().getOps<plan::SegmentOp>())
      SegmentStreams(segment, events).run();
  }
};

} // namespace
} // namespace deepshard
