//===- RepeatConversions.cpp - the narrow value is kept, not its wide copy --------------------===//
//
// The uses of a widening conversion are taken in order. A use that follows the last op that shares
// its copy closely, in the same phase, shares it too; else the copy is made again in front of it.
// O(uses).
//
//===------------------------------------------------------------------------------------------===//

#include "passes/memory/Passes.h"

#include "dialects/graph/Graph.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/DenseMap.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_REPEATCONVERSIONSPASS
#include "passes/memory/Passes.h.inc"

namespace {

/// Ops between two uses of one copy: those of a norm that is computed again between the two
/// products that read a gradient.
constexpr int64_t kNeighbours = 48;

bool widens(graph::ConvertOp convert) {
  Type from = convert.getX().getType().getElementType();
  return isa<FloatType>(from) && convert.getY().getType().getElementType() != from &&
         graph::accumulationType(from) == convert.getY().getType().getElementType();
}

struct RepeatConversions : impl::RepeatConversionsPassBase<RepeatConversions> {
  void runOnOperation() override {
    for (Block &block : getOperation().getBody()) {
      positions.clear();
      int64_t position = 0;
      SmallVector<graph::ConvertOp> conversions;
      for (Operation &op : block) {
        positions[&op] = position++;
        if (auto convert = dyn_cast<graph::ConvertOp>(op); convert && widens(convert))
          conversions.push_back(convert);
      }
      for (graph::ConvertOp convert : conversions)
        repeat(convert);
    }
  }

private:
  void repeat(graph::ConvertOp convert) {
    SmallVector<Operation *> users(convert->getUsers());
    if (users.empty())
      return;
    llvm::sort(users, [&](Operation *a, Operation *b) { return positions[a] < positions[b]; });
    graph::ConvertOp copy;
    int64_t last = 0;
    for (Operation *user : users) {
      Attribute phase = user->getAttr(graph::kPhaseAttr);
      if (!copy || positions[user] - last > kNeighbours ||
          (phase && copy->getAttr(graph::kPhaseAttr) != phase)) {
        copy = cast<graph::ConvertOp>(OpBuilder(user).clone(*convert));
        if (phase)
          copy->setAttr(graph::kPhaseAttr, phase);
      }
      last = positions[user];
      user->replaceUsesOfWith(convert.getY(), copy.getY());
    }
    convert.erase();
  }

  llvm::DenseMap<Operation *, int64_t> positions;
};

} // namespace
} // namespace deepshard
