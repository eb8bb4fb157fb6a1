//===- PackBuffers.cpp - where every byte lies ------------------------------------------------===//
//
// Buffers that collectives reach into lie in an arena of their own, the window. Where it would be
// empty for a while it takes other buffers of the step too: the two arenas seldom are full at the
// same time (gathered parameters and saved activations live in one, buckets of gradients in the
// other).
//
//===------------------------------------------------------------------------------------------===//

#include "passes/memory/Passes.h"

#include "passes/memory/Liveness.h"
#include "passes/memory/Rebalance.h"

#include "mlir/IR/Builders.h"
#include "llvm/Support/MathExtras.h"

#include <algorithm>

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_PACKBUFFERSPASS
#include "passes/memory/Passes.h.inc"

namespace {

struct PackBuffers : impl::PackBuffersPassBase<PackBuffers> {
  void runOnOperation() override {
    plan::ProgramOp program = getOperation();
    eraseUnused(program);
    Lifetimes lifetimes = lifetimesOf(program);
    const Arenas arenas = place(program, lifetimes);
    auto number = [&](int64_t value) { return Builder(&getContext()).getI64IntegerAttr(value); };
    program.setArenaBytesAttr(number(arenas.own.bytes));
    program.setMaxLiveBytesAttr(number(arenas.own.liveBytes));
    if (arenas.window.bytes == 0)
      return;
    program.setWindowBytesAttr(number(arenas.window.bytes));
    program.setWindowMaxLiveBytesAttr(number(arenas.window.liveBytes));
  }

  /// Bytes of the whole range, and the bound that liveness sets them.
  struct Arena {
    int64_t bytes, liveBytes;
  };
  struct Arenas {
    Arena own, window;
    int64_t bytes() const { return own.bytes + window.bytes; }
    int64_t liveBytes() const { return own.liveBytes + window.liveBytes; }
  };

  /// What lies in an arena: buffers that last one after another, then from `base` on those of the
  /// step.
  struct Content {
    SmallVector<std::pair<plan::BufferOp, int64_t>> lasting; // with their offsets
    SmallVector<plan::BufferOp> buffers;
    std::vector<Block> blocks; // of `buffers`
    int64_t base = 0;

    int64_t liveBytes() const { return base + maxLiveBytes(blocks); }
  };

  /// Moves buffers to the window if that makes the sum of both smaller: gaps may cost more than the
  /// bound promised. Without is only tried if its bound says that it may be smaller.
  static Arenas place(plan::ProgramOp program, const Lifetimes &lifetimes) {
    const int64_t leastWithout = boundOf(program, lifetimes);
    const SmallVector<plan::BufferOp> moved = moveToWindow(lifetimes);
    const Arenas with = layOut(program, lifetimes);
    if (moved.empty() || with.bytes() < leastWithout)
      return with;
    setWindow(moved, false);
    const Arenas without = layOut(program, lifetimes);
    if (without.bytes() <= with.bytes())
      return without;
    setWindow(moved, true);
    return layOut(program, lifetimes);
  }

  static int64_t boundOf(plan::ProgramOp program, const Lifetimes &lifetimes) {
    return contentOf(program, lifetimes, false).liveBytes() +
           contentOf(program, lifetimes, true).liveBytes();
  }

  static Arenas layOut(plan::ProgramOp program, const Lifetimes &lifetimes) {
    return {layOut(contentOf(program, lifetimes, /*window=*/false)),
            layOut(contentOf(program, lifetimes, /*window=*/true))};
  }

  static Content contentOf(plan::ProgramOp program, const Lifetimes &lifetimes, bool window) {
    Content content;
    int64_t alignment = kGranularity;
    for (auto buffer : program.getBody().getOps<plan::BufferOp>()) {
      if (buffer.getWindow() != window)
        continue;
      if (auto it = lifetimes.find(buffer); it != lifetimes.end()) {
        content.buffers.push_back(buffer);
        content.blocks.push_back(it->second);
        alignment = std::max<int64_t>(alignment, buffer.getAlign());
        continue;
      }
      content.base = llvm::alignTo(content.base, buffer.getAlign());
      content.lasting.push_back({buffer, content.base});
      content.base += llvm::alignTo(buffer.getBytes(), kGranularity);
    }
    if (!content.blocks.empty())
      content.base = llvm::alignTo(content.base, alignment);
    return content;
  }

  static Arena layOut(const Content &content) {
    for (auto [buffer, offset] : content.lasting)
      plan::BufferOp(buffer).setOffset(offset);
    const Packing packing = pack(content.blocks);
    for (auto [buffer, offset] : llvm::zip_equal(content.buffers, packing.offsets))
      plan::BufferOp(buffer).setOffset(content.base + offset);
    return {content.base + packing.bytes, content.liveBytes()};
  }

  static void setWindow(ArrayRef<plan::BufferOp> buffers, bool isIn) {
    for (plan::BufferOp buffer : buffers)
      buffer.setWindow(isIn);
  }

  /// Marks buffers of the own arena that move to the window, and returns them.
  static SmallVector<plan::BufferOp> moveToWindow(const Lifetimes &lifetimes) {
    SmallVector<plan::BufferOp> buffers;
    std::vector<Block> own, window;
    for (auto [buffer, block] : lifetimes) {
      (buffer.getWindow() ? window : own).push_back(block);
      if (!buffer.getWindow())
        buffers.push_back(buffer);
    }
    SmallVector<plan::BufferOp> moved;
    for (size_t index : blocksToMove(own, window)) {
      buffers[index].setWindow(true);
      moved.push_back(buffers[index]);
    }
    return moved;
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
