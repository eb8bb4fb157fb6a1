//===- Traffic.h - what ranks send each other in a step ---------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_PLAN_TRAFFIC_H
#define DEEPSHARD_RUNTIME_PLAN_TRAFFIC_H

#include "runtime/plan/plan.pb.h"

#include <cstdint>
#include <string>
#include <vector>

namespace deepshard::runtime {

/// All collectives of one kind over one group in a step, of one rank. Groups of one rank count too;
/// they send nothing.
struct Traffic {
  planpb::Collective::Kind kind = planpb::Collective::ALL_REDUCE;
  std::string axes;         ///< of the group: "data", "data:(1)2, tensor"
  uint64_t members = 1;     ///< N, of a group
  uint64_t calls = 0;       ///< a step
  uint64_t tensorBytes = 0; ///< a step, of whole tensors: the input of a reduction or of
                            ///< all_to_all and permute, the output of all_gather

  /// Bytes that a rank sends in a step, by the convention of bandwidth-optimal algorithms: (N - 1)
  /// / N of the tensor for reduce_scatter, all_gather and all_to_all, twice that for all_reduce,
  /// the whole for permute.
  double bytes() const;
};

/// The traffic of a sound plan's program, in the order of first appearance.
std::vector<Traffic> trafficOf(const planpb::Plan &plan, const planpb::Program &program);

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_PLAN_TRAFFIC_H
