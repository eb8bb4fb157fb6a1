//===- Upgrade.h - plans that name views instead of buckets -----------------------------------===//

#ifndef DEEPSHARD_RUNTIME_PLAN_UPGRADE_H
#define DEEPSHARD_RUNTIME_PLAN_UPGRADE_H

#include "runtime/plan/plan.pb.h"

namespace deepshard::runtime {

/// Gives every program without buckets one for each parameter's `view` and each slot of
/// `optimizer_state`.
void addBuckets(planpb::Plan &plan);

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_PLAN_UPGRADE_H
