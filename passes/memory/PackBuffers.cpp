//===- PackBuffers.cpp - where every byte lies ------------------------------------------------===//
//
// Buffers that collectives reach into lie in an arena of their own, the window.
//
//===------------------------------------------------------------------------------------------===//

#include "passes/memory/Passes.h"

#include "passes/memory/Liveness.h"

#include "mlir/IR/Builders.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_PACKBUFFERSPASS
#include "passes/memory/Passes.h.inc"

namespace {

struct PackBuffers : impl::PackBuffersPassBase<PackBuffers> {
  void runOnOperation() override {
    plan::ProgramOp program = getOperation();
    eraseUnused(program);
    Lifetimes transients = lifetimesOf(program);
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
  static std::pair<int64_t, int64_t> packArena(plan::ProgramOp program, const Lifetimes &transients,
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
