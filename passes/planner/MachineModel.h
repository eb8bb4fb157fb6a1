//===- MachineModel.h - what computing and moving costs ---------------------------------------===//

#ifndef DEEPSHARD_PASSES_PLANNER_MACHINEMODEL_H
#define DEEPSHARD_PASSES_PLANNER_MACHINEMODEL_H

#include "dialects/graph/Graph.h"
#include "dialects/sharding/Reshard.h"
#include "passes/planner/CostNetwork.h"
#include "passes/sharding/OpLayouts.h"

namespace deepshard {

/// The links between ranks that are neighbours: the ranks r with the same r / size.
struct LinkTier {
  int64_t size;
  double latencySeconds;
  double bytesPerSecond; // that a rank receives
};

/// What is to be least.
enum class Objective : uint8_t {
  Time,   // of a micro-batch; bytes are not counted
  Traffic // what a rank receives over all axes alike; time breaks ties
};

/// Times in picoseconds: the sums of a step stay far below kForbidden.
struct MachineModel {
  Objective objective = Objective::Time;
  /// One rank.
  double flopsPerSecond = 5e10;
  double memoryBytesPerSecond = 8e9;
  /// Innermost first, ascending sizes; the last one holds for all groups that no other holds. The
  /// defaults are those of a host's memory: what they are matters less than that they are in
  /// proportion.
  llvm::SmallVector<LinkTier> tiers = {{1, 5e-6, 4e9}};

  /// An op of which a rank has one of `parts` equal parts, and the share `traffic` of what it reads
  /// and writes: arithmetic and memory one after another.
  Cost compute(const graph::OpCost &cost, int64_t parts, double traffic) const;
  /// One collective over `axes`: a latency, and the bytes that a rank receives.
  Cost receive(int64_t bytes, llvm::ArrayRef<sharding::AxisRefAttr> axes,
               sharding::MeshAttr grid) const;
  /// Collectives on elements of `bits` bits.
  Cost communicate(const sharding::Steps &steps, unsigned bits, sharding::MeshAttr grid) const;
  /// What an op of this rule exchanges itself: what it hands round the ranks that split its ring
  /// factors (`graph::Ring`) and reduces over others (`graph::InnerReduction`). A latency for each
  /// time, and the bytes that a rank receives.
  Cost exchange(mlir::Operation *op, const graph::ShardingRule &rule, llvm::ArrayRef<Axes> factors,
                sharding::MeshAttr grid) const;
  /// The innermost tier that no group over `axes` leaves.
  const LinkTier &tierOf(llvm::ArrayRef<sharding::AxisRefAttr> axes, sharding::MeshAttr grid) const;
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLANNER_MACHINEMODEL_H
