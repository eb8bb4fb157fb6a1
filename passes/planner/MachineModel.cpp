//===- MachineModel.cpp - what computing and moving costs -------------------------------------===//

#include "passes/planner/MachineModel.h"

#include <cmath>

using namespace mlir;

namespace deepshard {

static Cost picoseconds(double seconds) { return std::llround(seconds * 1e12); }

Cost MachineModel::compute(const graph::OpCost &cost, int64_t parts, double traffic) const {
  const double bytes = static_cast<double>(cost.bytesRead) + static_cast<double>(cost.bytesWritten);
  return picoseconds(static_cast<double>(cost.flops) / flopsPerSecond / static_cast<double>(parts) +
                     traffic * bytes / memoryBytesPerSecond);
}

/// Ranks between the first and the last of a group over `axes`, rounded up to where groups begin:
/// the axes inside the outermost one vary within it.
static int64_t spanOf(ArrayRef<sharding::AxisRefAttr> axes, sharding::MeshAttr grid) {
  int64_t span = 1, stride = 1;
  for (auto [name, size] : llvm::reverse(llvm::zip_equal(grid.getNames(), grid.getSizes()))) {
    stride *= size;
    for (sharding::AxisRefAttr axis : axes)
      if (axis.getName() == name)
        span = std::max(span, stride / std::max<int64_t>(axis.getPreSize(), 1)); // a sub-axis
  }
  return span;
}

const LinkTier &MachineModel::tierOf(ArrayRef<sharding::AxisRefAttr> axes,
                                     sharding::MeshAttr grid) const {
  const int64_t span = spanOf(axes, grid);
  for (const LinkTier &tier : tiers)
    if (tier.size % span == 0)
      return tier;
  return tiers.back();
}

Cost MachineModel::communicate(const sharding::Steps &steps, unsigned bits,
                               sharding::MeshAttr grid) const {
  Cost cost = 0;
  for (const sharding::Step &step : steps) {
    if (!step.communicates())
      continue;
    const unsigned width = step.reducedIn ? step.reducedIn.getIntOrFloatBitWidth() : bits;
    const double bytes = static_cast<double>(step.receivedElements(grid)) * width / 8;
    const LinkTier &tier = tierOf(step.axes, grid);
    cost += picoseconds(tier.latencySeconds + bytes / tier.bytesPerSecond);
  }
  return cost;
}

Cost MachineModel::goRound(Operation *op, const graph::ShardingRule &rule, ArrayRef<Axes> factors,
                           sharding::MeshAttr grid) const {
  auto parts = llvm::map_to_vector(factors, [&](const Axes &axes) { return grid.sizeOf(axes); });
  double seconds = 0;
  for (const graph::Ring &ring : rule.rings) {
    const int64_t ranks = parts[ring.factor];
    if (ranks == 1)
      continue;
    const LinkTier &tier = tierOf(factors[ring.factor], grid);
    const auto times =
        static_cast<double>(ring.operands.size() * (ranks - 1) + ring.results.size() * ranks);
    seconds += times * tier.latencySeconds +
               static_cast<double>(rule.bytesRound(op, parts)) / tier.bytesPerSecond;
  }
  return picoseconds(seconds);
}

} // namespace deepshard
