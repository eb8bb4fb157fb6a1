//===- MachineModel.h - what computing and moving costs ---------------------------------------===//

#ifndef DEEPSHARD_PASSES_PLANNER_MACHINEMODEL_H
#define DEEPSHARD_PASSES_PLANNER_MACHINEMODEL_H

#include "dialects/graph/Graph.h"
#include "dialects/sharding/Reshard.h"
#include "passes/planner/CostNetwork.h"

namespace deepshard {

/// Times in picoseconds: the sums of a step stay far below kForbidden.
struct MachineModel {
  /// One rank.
  double flopsPerSecond = 5e10;
  double memoryBytesPerSecond = 8e9;
  /// The links of every axis.
  double latencySeconds = 2e-6;
  double linkBytesPerSecond = 4e9;

  /// An op of which a rank has one of `parts` equal parts: arithmetic and memory one after another.
  Cost compute(const graph::OpCost &cost, int64_t parts) const;
  /// Collectives on elements of `bits` bits.
  Cost communicate(const sharding::Steps &steps, unsigned bits, sharding::MeshAttr grid) const;
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLANNER_MACHINEMODEL_H
