//===- Liveness.cpp - when the transient buffers of a program live ----------------------------===//

#include "passes/memory/Liveness.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace deepshard {

namespace {

class Liveness {
public:
  explicit Liveness(plan::ProgramOp program) {
    for (auto segment : program.getBody().getOps<plan::SegmentOp>()) {
      for (Operation &op : segment.getBody().getOps())
        if (!isa<plan::ViewOp>(op))
          visit(&op);
      // What the compute stream does not wait for ends with the segment at the latest.
      join(running.size());
    }
  }

  Lifetimes lifetimes;

private:
  /// A task of another stream that the compute stream has not waited for.
  struct Running {
    int64_t stream;
    SmallVector<plan::BufferOp> buffers;
  };

  void visit(Operation *op) {
    if (auto task = dyn_cast<plan::TaskOpInterface>(op)) {
      SmallVector<plan::BufferOp> buffers = touch(op);
      if (task.getTaskStream() != plan::kComputeStream)
        running.push_back({task.getTaskStream(), buffers});
    } else if (auto record = dyn_cast<plan::RecordOp>(op)) {
      recorded[record.getEvent()] = {record.getStream(), running.size()};
    } else if (auto wait = dyn_cast<plan::WaitOp>(op);
               wait && wait.getStream() == plan::kComputeStream) {
      auto [stream, count] = recorded.lookup(wait.getEvent());
      joinStream(stream, count);
    }
    ++time;
  }

  SmallVector<plan::BufferOp> touch(Operation *task) {
    SmallVector<plan::BufferOp> buffers;
    for (Value operand : task->getOperands()) {
      plan::BufferOp buffer = bufferOf(operand);
      if (!buffer || buffer.getLifetime() != plan::Lifetime::Transient)
        continue;
      auto [it, inserted] = lifetimes.insert({buffer, Block{time, time, 0}});
      it->second.end = time;
      it->second.bytes =
          llvm::alignTo(buffer.getBytes(), std::max<int64_t>(kGranularity, buffer.getAlign()));
      buffers.push_back(buffer);
    }
    return buffers;
  }

  /// The first `count` running tasks of `stream` are over now. Their places in the list stay, so
  /// that counts noted at records stay right.
  void joinStream(int64_t stream, size_t count) {
    for (Running &task : llvm::MutableArrayRef(running).take_front(count)) {
      if (task.stream != stream)
        continue;
      end(task);
      task.buffers.clear();
    }
  }

  void join(size_t count) {
    for (const Running &task : llvm::ArrayRef(running).take_front(count))
      end(task);
    running.clear();
    recorded.clear();
  }

  void end(const Running &task) {
    for (plan::BufferOp buffer : task.buffers) {
      Block &block = lifetimes.find(buffer)->second;
      block.end = std::max(block.end, time);
    }
  }

  int64_t time = 0;
  SmallVector<Running> running;
  llvm::DenseMap<int64_t, std::pair<int64_t, size_t>> recorded; // event: stream, tasks before it
};

} // namespace

Lifetimes lifetimesOf(plan::ProgramOp program) { return Liveness(program).lifetimes; }

} // namespace deepshard
