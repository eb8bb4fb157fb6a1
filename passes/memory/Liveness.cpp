//===- Liveness.cpp - when the buffers of a step live -----------------------------------------===//

#include "passes/memory/Liveness.h"

#include "llvm/ADT/SetVector.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace deepshard {

namespace {

class Liveness {
public:
  explicit Liveness(plan::ProgramOp program) {
    for (auto buffer : program.getBody().getOps<plan::BufferOp>())
      if (isOfStep(buffer))
        granularity = std::max<int64_t>(granularity, buffer.getAlign());
    for (plan::SegmentOp segment : segmentsInOrder(program)) {
      current = &spans[segment.getSymName()];
      current->begin = time;
      for (Operation &op : segment.getBody().getOps())
        if (!isa<plan::ViewOp>(op))
          visit(&op);
      // What the compute stream does not wait for ends with the segment at the latest.
      joinAll();
      current->end = time;
    }
    spanCalls(program);
    for (auto metric : program.getBody().getOps<plan::MetricOp>())
      lifetimes.erase(bufferOf(metric.getView()));
  }

  Lifetimes lifetimes;

private:
  static bool isOfStep(plan::BufferOp buffer) {
    return buffer.getLifetime() == plan::Lifetime::Transient ||
           buffer.getLifetime() == plan::Lifetime::Step;
  }

  /// The times of a segment and the step buffers that it touches.
  struct Span {
    int64_t begin = 0, end = 0;
    llvm::SetVector<plan::BufferOp> stepBuffers;
  };

  void spanCalls(plan::ProgramOp program) {
    SmallVector<const Span *> calls;
    for (auto schedule : program.getBody().getOps<plan::ScheduleOp>())
      for (auto call : schedule.getCalls().getAsRange<plan::CallAttr>())
        calls.push_back(&spans[call.getSegment().getValue()]);
    for (auto &[name, span] : spans)
      for (plan::BufferOp buffer : span.stepBuffers)
        spanCalls(buffer, calls);
  }

  /// Lets a step buffer live through all calls between the first and the last one that touch it.
  void spanCalls(plan::BufferOp buffer, ArrayRef<const Span *> calls) {
    auto touches = [&](const Span *span) { return span->stepBuffers.contains(buffer); };
    auto first = llvm::find_if(calls, touches);
    auto it = lifetimes.find(buffer);
    if (first == calls.end() && it != lifetimes.end())
      lifetimes.erase(it);
    if (first == calls.end())
      return;
    auto last = calls.end() - 1;
    while (!touches(*last))
      --last;
    auto liveThrough = [&](const Span *span) {
      it->second.begin = std::min(it->second.begin, span->begin);
      it->second.end = std::max(it->second.end, span->end);
    };
    for (auto between = first + 1; between < last; ++between)
      liveThrough(*between);
    if (first != last && *first == *last)
      liveThrough(*first);
  }

  /// The buffers of the tasks of another stream in this segment; the compute stream has waited for
  /// the first `joined` of them.
  struct Running {
    SmallVector<SmallVector<plan::BufferOp>, 0> tasks;
    size_t joined = 0;
  };

  void visit(Operation *op) {
    if (auto task = dyn_cast<plan::TaskOpInterface>(op)) {
      SmallVector<plan::BufferOp> buffers = touch(op);
      if (task.getTaskStream() != plan::kComputeStream)
        running[task.getTaskStream()].tasks.push_back(std::move(buffers));
    } else if (auto record = dyn_cast<plan::RecordOp>(op)) {
      recorded[record.getEvent()] = {record.getStream(), running[record.getStream()].tasks.size()};
    } else if (auto wait = dyn_cast<plan::WaitOp>(op);
               wait && wait.getStream() == plan::kComputeStream) {
      auto [stream, count] = recorded.lookup(wait.getEvent());
      join(running[stream], count);
    }
    ++time;
  }

  SmallVector<plan::BufferOp> touch(Operation *task) {
    SmallVector<plan::BufferOp> buffers;
    for (Value operand : task->getOperands()) {
      plan::BufferOp buffer = bufferOf(operand);
      if (!buffer || !isOfStep(buffer))
        continue;
      if (buffer.getLifetime() == plan::Lifetime::Step)
        current->stepBuffers.insert(buffer);
      auto [it, inserted] = lifetimes.insert({buffer, Block{time, time, 0}});
      it->second.end = time;
      it->second.bytes = llvm::alignTo(buffer.getBytes(), granularity);
      buffers.push_back(buffer);
    }
    return buffers;
  }

  /// The first `count` tasks of a stream are over now.
  void join(Running &stream, size_t count) {
    for (; stream.joined < count; ++stream.joined)
      for (plan::BufferOp buffer : stream.tasks[stream.joined]) {
        Block &block = lifetimes.find(buffer)->second;
        block.end = std::max(block.end, time);
      }
  }

  void joinAll() {
    for (auto &[number, stream] : running)
      join(stream, stream.tasks.size());
    running.clear();
    recorded.clear();
  }

  int64_t time = 0;
  int64_t granularity = kGranularity;
  llvm::MapVector<StringRef, Span> spans; // complete before pointers into it are taken
  Span *current = nullptr;
  llvm::MapVector<int64_t, Running> running;                    // by stream
  llvm::DenseMap<int64_t, std::pair<int64_t, size_t>> recorded; // event: stream, tasks before it
};

} // namespace

SmallVector<plan::SegmentOp> segmentsInOrder(plan::ProgramOp program) {
  llvm::SetVector<plan::SegmentOp> segments;
  for (auto schedule : program.getBody().getOps<plan::ScheduleOp>())
    for (auto call : schedule.getCalls().getAsRange<plan::CallAttr>())
      if (auto segment = program.lookupSymbol<plan::SegmentOp>(call.getSegment()))
        segments.insert(segment);
  for (auto segment : program.getBody().getOps<plan::SegmentOp>())
    segments.insert(segment);
  return segments.takeVector();
}

Lifetimes lifetimesOf(plan::ProgramOp program) { return Liveness(program).lifetimes; }

} // namespace deepshard
