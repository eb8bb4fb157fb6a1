//===- MachineModel.cpp - what computing and moving costs -------------------------------------===//

#include "passes/planner/MachineModel.h"

#include <cmath>

using namespace mlir;

namespace deepshard {

static int64_t picoseconds(double seconds) { return std::llround(seconds * 1e12); }

Cost MachineModel::compute(const graph::OpCost &cost, int64_t parts, double traffic) const {
  const double bytes = static_cast<double>(cost.bytesRead) + static_cast<double>(cost.bytesWritten);
  return {
      0, picoseconds(static_cast<double>(cost.flops) / flopsPerSecond / static_cast<double>(parts) +
                     traffic * bytes / memoryBytesPerSecond)};
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

Cost MachineModel::receive(int64_t bytes, ArrayRef<sharding::AxisRefAttr> axes,
                           sharding::MeshAttr grid) const {
  const LinkTier &tier = tierOf(axes, grid);
  return {objective == Objective::Traffic ? bytes : 0,
          picoseconds(tier.latencySeconds + static_cast<double>(bytes) / tier.bytesPerSecond)};
}

Cost MachineModel::communicate(const sharding::Steps &steps, unsigned bits,
                               sharding::MeshAttr grid) const {
  Cost cost;
  for (const sharding::Step &step : steps) {
    if (!step.communicates())
      continue;
    const unsigned width = step.reducedIn ? step.reducedIn.getIntOrFloatBitWidth() : bits;
    cost += receive(step.receivedElements(grid) * width / 8, step.axes, grid);
  }
  return cost;
}

Cost MachineModel::exchange(Operation *op, const graph::ShardingRule &rule, ArrayRef<Axes> factors,
                            sharding::MeshAttr grid) const {
  auto parts = llvm::map_to_vector(factors, [&](const Axes &axes) { return grid.sizeOf(axes); });
  Cost cost;
  auto add = [&](unsigned factor, int64_t times, int64_t bytes) {
    cost += receive(bytes, factors[factor], grid);
    cost.time += (times - 1) * picoseconds(tierOf(factors[factor], grid).latencySeconds);
  };
  for (const graph::Ring &ring : rule.rings)
    if (const auto ranks = static_cast<size_t>(parts[ring.factor]); ranks > 1)
      add(ring.factor, ring.operands.size() * (ranks - 1) + ring.results.size() * ranks,
          rule.bytesRound(op, parts));
  for (const graph::InnerReduction &reduction : rule.inner)
    if (const int64_t ranks = parts[reduction.factor]; ranks > 1) {
      const int64_t bytes = rule.bytesReduced(op, reduction, parts);
      add(reduction.factor, reduction.times, 2 * (bytes - bytes / ranks));
    }
  return cost;
}

} // namespace deepshard
