//===- ReuseInputs.cpp - results take the place of inputs that nobody reads again -------------===//

#include "passes/memory/Passes.h"

#include "passes/memory/Liveness.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_REUSEINPUTSPASS
#include "passes/memory/Passes.h.inc"

namespace {

/// A view of all bytes of its buffer, each once.
bool isWhole(plan::ViewOp view, plan::BufferOp buffer) {
  plan::ViewType type = view.getType();
  return view.getOffset() == 0 && !view.getAxisStrides() && type.isContiguous() &&
         type.getNumElements() * plan::elementBytes(type.getElementType()) ==
             static_cast<int64_t>(buffer.getBytes());
}

struct ReuseInputs : impl::ReuseInputsPassBase<ReuseInputs> {
  void runOnOperation() override {
    lifetimes = lifetimesOf(getOperation());
    // Times are those of `lifetimesOf`.
    int64_t time = 0;
    for (plan::SegmentOp segment : segmentsInOrder(getOperation()))
      for (Operation &op : segment.getBody().getOps()) {
        if (auto launch = dyn_cast<plan::LaunchOp>(op); launch)
          reuse(launch, time);
        if (!isa<plan::ViewOp>(op))
          ++time;
      }
  }

private:
  void reuse(plan::LaunchOp launch, int64_t time) {
    if (launch.getOverwrites().empty())
      return;
    Value output = launch.getOutputs().front();
    plan::BufferOp result = bufferOf(output);
    Block *life = lifetimeOf(result);
    if (!life || life->begin != time || !isWhole(viewOf(output), result))
      return;
    for (int64_t index : launch.getOverwrites()) {
      plan::BufferOp dead = bufferOf(launch.getInputs()[index]);
      Block *deadLife = lifetimeOf(dead);
      if (!deadLife || deadLife->begin == time || deadLife->end != time ||
          dead.getWindow() != result.getWindow() || !isReadOnlyAsIs(launch, dead, output))
        continue;
      dead.setAlign(std::max(dead.getAlign(), result.getAlign()));
      deadLife->end = life->end;
      result.getResult().replaceAllUsesWith(dead.getResult());
      result.erase();
      return;
    }
  }

  /// All inputs of the task in buffer `dead` may be overwritten and are whole views of the output's
  /// type.
  static bool isReadOnlyAsIs(plan::LaunchOp launch, plan::BufferOp dead, Value output) {
    return llvm::all_of(llvm::enumerate(launch.getInputs()), [&](auto input) {
      return bufferOf(input.value()) != dead ||
             (llvm::is_contained(launch.getOverwrites(), static_cast<int64_t>(input.index())) &&
              input.value().getType() == output.getType() && isWhole(viewOf(input.value()), dead));
    });
  }

  static plan::ViewOp viewOf(Value view) { return view.getDefiningOp<plan::ViewOp>(); }

  /// Null for buffers that are not transient.
  Block *lifetimeOf(plan::BufferOp buffer) {
    auto it = lifetimes.find(buffer);
    return it == lifetimes.end() || buffer.getLifetime() != plan::Lifetime::Transient ? nullptr
                                                                                      : &it->second;
  }

  Lifetimes lifetimes;
};

} // namespace
} // namespace deepshard
