//===- PartitionedPlan.h - the plan of a partitioned step, in memory --------------------------===//

#ifndef DEEPSHARD_TEST_UNIT_SHARDING_PARTITIONEDPLAN_H
#define DEEPSHARD_TEST_UNIT_SHARDING_PARTITIONEDPLAN_H

#include "runtime/plan/plan.pb.h"

#include "mlir/IR/BuiltinOps.h"

#include <string>

namespace deepshard::sharding {

struct PartitionedPlanOptions {
  std::string gpu = {}; // "sm_90"; empty: for the CPU of this machine
  bool overlap = true;
  uint32_t microBatch = 1, accumulation = 1, globalBatch = 1;
  double learningRate = 0;
};

/// What ds-opt does behind the partition: tasks, buffers, code. Fails with a diagnostic.
llvm::FailureOr<planpb::Plan> planPartitioned(mlir::ModuleOp module,
                                              const PartitionedPlanOptions &options);

} // namespace deepshard::sharding

#endif // DEEPSHARD_TEST_UNIT_SHARDING_PARTITIONEDPLAN_H
