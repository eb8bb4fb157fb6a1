//===- MachineModel.cpp - what computing and moving costs -------------------------------------===//

#include "passes/planner/MachineModel.h"

#include <cmath>

namespace deepshard {

static Cost picoseconds(double seconds) { return std::llround(seconds * 1e12); }

Cost MachineModel::compute(const graph::OpCost &cost, int64_t parts) const {
  const double bytes = static_cast<double>(cost.bytesRead) + static_cast<double>(cost.bytesWritten);
  return picoseconds(
      (static_cast<double>(cost.flops) / flopsPerSecond + bytes / memoryBytesPerSecond) /
      static_cast<double>(parts));
}

Cost MachineModel::communicate(const sharding::Steps &steps, unsigned bits,
                               sharding::MeshAttr grid) const {
  Cost cost = 0;
  for (const sharding::Step &step : steps) {
    if (!step.communicates())
      continue;
    const unsigned width = step.reducedIn ? step.reducedIn.getIntOrFloatBitWidth() : bits;
    const double bytes = static_cast<double>(step.receivedElements(grid)) * width / 8;
    cost += picoseconds(latencySeconds + bytes / linkBytesPerSecond);
  }
  return cost;
}

} // namespace deepshard
