//===- PackBuffers.cpp - where every byte lies ------------------------------------------------===//
//
// Time is the position of a task, counted through the segments one after another: transient buffers
// of different segments never live together. One stream runs all tasks in order, so positions are
// execution order.
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

struct PackBuffers : impl::PackBuffersPassBase<PackBuffers> {
  void runOnOperation() override {
    plan::ProgramOp program = getOperation();
    if (program.getStreams().size() > 1) {
      program.emitError("packs programs of one stream, got ") << program.getStreams().size();
      return signalPassFailure();
    }
    eraseUnused(program);
    llvm::MapVector<plan::BufferOp, Block> transients = liveness(program);

    OpBuilder builder(program.getContext());
    int64_t base = 0;
    for (auto buffer : program.getBody().getOps<plan::BufferOp>()) {
      if (transients.contains(buffer))
        continue;
      base = llvm::alignTo(base, buffer.getAlign());
      buffer.setOffsetAttr(builder.getI64IntegerAttr(base));
      base += llvm::alignTo(buffer.getBytes(), kGranularity);
    }
    base = llvm::alignTo(base, alignmentOf(transients));

    std::vector<Block> blocks;
    for (auto &[buffer, block] : transients)
      blocks.push_back(block);
    Packing packing = pack(blocks);
    for (auto [index, entry] : llvm::enumerate(transients)) {
      plan::BufferOp buffer = entry.first;
      buffer.setOffsetAttr(builder.getI64IntegerAttr(base + packing.offsets[index]));
    }
    program.setArenaBytesAttr(
        builder.getI64IntegerAttr(base + (blocks.empty() ? 0 : packing.bytes)));
    program.setMaxLiveBytesAttr(builder.getI64IntegerAttr(base + maxLiveBytes(blocks)));
  }

  void eraseUnused(plan::ProgramOp program) {
    program.walk([](plan::ViewOp view) {
      if (view->use_empty())
        view.erase();
    });
    for (auto buffer : llvm::make_early_inc_range(program.getBody().getOps<plan::BufferOp>()))
      if (buffer->use_empty())
        buffer.erase();
  }

  /// Lifetimes of the transient buffers, sizes rounded so that every offset is aligned.
  llvm::MapVector<plan::BufferOp, Block> liveness(plan::ProgramOp program) {
    llvm::MapVector<plan::BufferOp, Block> result;
    int64_t time = 0;
    for (auto segment : program.getBody().getOps<plan::SegmentOp>())
      for (Operation &task : segment.getBody().getOps()) {
        for (Value operand : task.getOperands()) {
          auto view = operand.getDefiningOp<plan::ViewOp>();
          auto buffer = view ? view.getBuffer().getDefiningOp<plan::BufferOp>() : plan::BufferOp();
          if (!buffer || buffer.getLifetime() != plan::Lifetime::Transient)
            continue;
          auto [it, inserted] = result.insert({buffer, Block{time, time, 0}});
          it->second.end = time;
          it->second.bytes =
              llvm::alignTo(buffer.getBytes(), std::max<int64_t>(kGranularity, buffer.getAlign()));
        }
        ++time;
      }
    return result;
  }

  static int64_t alignmentOf(const llvm::MapVector<plan::BufferOp, Block> &transients) {
    int64_t alignment = kGranularity;
    for (auto &[buffer, block] : transients)
      alignment = std::max<int64_t>(alignment, plan::BufferOp(buffer).getAlign());
    return alignment;
  }
};

} // namespace
} // namespace deepshard
