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
    OpBuilder builder(program.getContext());
    Arenas arenas = layOut(program, lifetimes);
    if (arenas.window.bytes > 0)
      if (SmallVector<plan::BufferOp> moved = moveToWindow(lifetimes); !moved.empty()) {
        Arenas after = layOut(program, lifetimes);
        if (after.bytes() >= arenas.bytes()) { // gaps cost more than the bound promised
          for (plan::BufferOp buffer : moved)
            buffer.setWindow(false);
          after = layOut(program, lifetimes);
        }
        arenas = after;
      }
    auto number = [&](int64_t value) { return builder.getI64IntegerAttr(value); };
    program.setArenaBytesAttr(number(arenas.own.bytes));
    program.setMaxLiveBytesAttr(number(arenas.own.liveBytes));
    if (arenas.window.bytes == 0)
      return;
    program.setWindowBytesAttr(number(arenas.window.bytes));
    program.setWindowMaxLiveBytesAttr(number(arenas.window.liveBytes));
  }

  struct Arena {
    int64_t bytes, liveBytes; // of the whole range; the bound that liveness sets
  };
  struct Arenas {
    Arena own, window;
    int64_t bytes() const { return own.bytes + window.bytes; }
  };

  static Arenas layOut(plan::ProgramOp program, const Lifetimes &lifetimes) {
    return {layOutArena(program, lifetimes, /*window=*/false),
            layOutArena(program, lifetimes, /*window=*/true)};
  }

  /// Places the buffers of one arena: those that last one after another, then those of the step.
  static Arena layOutArena(plan::ProgramOp program, const Lifetimes &lifetimes, bool window) {
    OpBuilder builder(program.getContext());
    int64_t base = 0, alignment = kGranularity;
    SmallVector<plan::BufferOp> buffers;
    std::vector<Block> blocks;
    for (auto buffer : program.getBody().getOps<plan::BufferOp>()) {
      if (buffer.getWindow() != window)
        continue;
      if (auto it = lifetimes.find(buffer); it != lifetimes.end()) {
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

  /// Lowers the peak of the own arena without raising that of the window: as long as there is one,
  /// the largest buffer alive at the peak that the window has room for all its life moves there.
  static SmallVector<plan::BufferOp> moveToWindow(const Lifetimes &lifetimes) {
    Profile own, window;
    for (auto [buffer, block] : lifetimes)
      (buffer.getWindow() ? window : own).add(block);
    const int64_t room = window.peak().bytes;
    SmallVector<plan::BufferOp> moved;
    while (true) {
      const Profile::Peak peak = own.peak();
      std::pair<plan::BufferOp, Block> best;
      for (auto [buffer, block] : lifetimes)
        if (!buffer.getWindow() && block.begin <= peak.time && peak.time <= block.end &&
            block.bytes > best.second.bytes && window.most(block) + block.bytes <= room)
          best = {buffer, block};
      auto [buffer, block] = best;
      if (!buffer)
        return moved;
      buffer.setWindow(true);
      own.remove(block);
      window.add(block);
      moved.push_back(buffer);
    }
  }

  /// The bytes of live blocks at every time.
  class Profile {
  public:
    struct Peak {
      int64_t time, bytes;
    };

    void add(const Block &block) { change(block, block.bytes); }
    void remove(const Block &block) { change(block, -block.bytes); }

    Peak peak() const {
      auto most = std::max_element(live.begin(), live.end());
      return most == live.end() ? Peak{0, 0} : Peak{most - live.begin(), *most};
    }

    /// The most bytes live while `block` does.
    int64_t most(const Block &block) const {
      int64_t bytes = 0;
      for (int64_t time = block.begin, end = std::min<int64_t>(block.end + 1, live.size());
           time < end; ++time)
        bytes = std::max(bytes, live[time]);
      return bytes;
    }

  private:
    void change(const Block &block, int64_t bytes) {
      if (block.end >= static_cast<int64_t>(live.size()))
        live.resize(block.end + 1);
      for (int64_t time = block.begin; time <= block.end; ++time)
        live[time] += bytes;
    }

    std::vector<int64_t> live;
  };

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
