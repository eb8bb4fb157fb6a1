//===- PackBuffers.cpp - where every byte lies ------------------------------------------------===//
//
// Time is the position of a task, counted through the segments one after another: transient buffers
// of different segments never live together. The tasks of the compute stream run in this order. A
// task of another stream begins no earlier than its position, since it waits for the compute stream
// (synchronize-streams), and is over where the compute stream has waited for an event recorded
// behind it: until there its buffers live.
//
// Buffers that collectives reach into lie in an arena of their own, the window.
//
//===------------------------------------------------------------------------------------------===//

#include "passes/memory/Passes.h"

#include "passes/memory/Packing.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_PACKBUFFERSPASS
#include "passes/memory/Passes.h.inc"

namespace {

constexpr int64_t kGranularity = 64;
constexpr int64_t kComputeStream = 0;

using Blocks = llvm::MapVector<plan::BufferOp, Block>;

/// Lifetimes of the transient buffers of a program.
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

  /// Sizes are rounded so that every offset is aligned.
  Blocks blocks;

private:
  /// A task of another stream that the compute stream has not waited for.
  struct Running {
    int64_t stream;
    SmallVector<plan::BufferOp> buffers;
  };

  void visit(Operation *op) {
    if (auto task = dyn_cast<plan::TaskOpInterface>(op)) {
      SmallVector<plan::BufferOp> buffers = touch(op);
      if (task.getTaskStream() != kComputeStream)
        running.push_back({task.getTaskStream(), buffers});
    } else if (auto record = dyn_cast<plan::RecordOp>(op)) {
      recorded[record.getEvent()] = {record.getStream(), running.size()};
    } else if (auto wait = dyn_cast<plan::WaitOp>(op); wait && wait.getStream() == kComputeStream) {
      auto [stream, count] = recorded.lookup(wait.getEvent());
      joinStream(stream, count);
    }
    ++time;
  }

  SmallVector<plan::BufferOp> touch(Operation *task) {
    SmallVector<plan::BufferOp> buffers;
    for (Value operand : task->getOperands()) {
      auto view = operand.getDefiningOp<plan::ViewOp>();
      auto buffer = view ? view.getBuffer().getDefiningOp<plan::BufferOp>() : plan::BufferOp();
      if (!buffer || buffer.getLifetime() != plan::Lifetime::Transient)
        continue;
      auto [it, inserted] = blocks.insert({buffer, Block{time, time, 0}});
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
      for (plan::BufferOp buffer : task.buffers)
        blocks.find(buffer)->second.end = std::max(blocks.find(buffer)->second.end, time);
      task.buffers.clear();
    }
  }

  void join(size_t count) {
    for (Running &task : llvm::MutableArrayRef(running).take_front(count))
      for (plan::BufferOp buffer : task.buffers)
        blocks.find(buffer)->second.end = std::max(blocks.find(buffer)->second.end, time);
    running.clear();
    recorded.clear();
  }

  int64_t time = 0;
  SmallVector<Running> running;
  llvm::DenseMap<int64_t, std::pair<int64_t, size_t>> recorded; // event: stream, tasks before it
};

struct PackBuffers : impl::PackBuffersPassBase<PackBuffers> {
  void runOnOperation() override {
    plan::ProgramOp program = getOperation();
    eraseUnused(program);
    Blocks transients = Liveness(program).blocks;
    OpBuilder builder(program.getContext());
    auto number = [&](int64_t value) { return builder.getI64IntegerAttr(value); };
    auto [bytes, live] = packArena(program, transients, /*window=*/false);
    program.setArenaBytesAttr(number(bytes));
    program.setMaxLiveBytesAttr(number(live));
    auto [windowBytes, windowLive] = packArena(program, transients, /*window=*/true);
    if (windowBytes == 0)
      return;
    program.setWindowBytesAttr(number(windowBytes));
    program.setWindowMaxLiveBytesAttr(number(windowLive));
  }

  /// Places the buffers of one arena: those that last one after another, then the transient ones.
  /// Returns its bytes and their lower bound.
  static std::pair<int64_t, int64_t> packArena(plan::ProgramOp program, const Blocks &transients,
                                               bool window) {
    OpBuilder builder(program.getContext());
    int64_t base = 0, alignment = kGranularity;
    SmallVector<plan::BufferOp> buffers;
    std::vector<Block> blocks;
    for (auto buffer : program.getBody().getOps<plan::BufferOp>()) {
      if (buffer.getWindow() != window)
        continue;
      if (auto it = transients.find(buffer); it != transients.end()) {
        buffers.push_back(buffer);
        blocks.push_back(it->second);
        alignment = std::max<int64_t>(alignment, buffer.getAlign());
        continue;
      }
      base = llvm::alignTo(base, buffer.getAlign());
      buffer.setOffsetAttr(builder.getI64IntegerAttr(base));
      base += llvm::alignTo(buffer.getBytes(), kGranularity);
    }
    if (blocks.empty())
      return {base, base};
    base = llvm::alignTo(base, alignment);
    Packing packing = pack(blocks);
    for (auto [buffer, offset] : llvm::zip_equal(buffers, packing.offsets))
      buffer.setOffsetAttr(builder.getI64IntegerAttr(base + offset));
    return {base + packing.bytes, base + maxLiveBytes(blocks)};
  }

  static void eraseUnused(plan::ProgramOp program) {
    program.walk([](plan::ViewOp view) {
      if (view->use_empty())
        view.erase();
    });
    for (auto buffer : llvm::make_early_inc_range(program.getBody().getOps<plan::BufferOp>()))
      if (buffer->use_empty())
        buffer.erase();
  }
};

} // namespace
} // namespace deepshard
