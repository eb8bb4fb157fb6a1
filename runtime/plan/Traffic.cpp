//===- Traffic.cpp - what ranks send each other in a step -------------------------------------===//

#include "runtime/plan/Traffic.h"

#include "runtime/plan/Geometry.h"
#include "runtime/plan/Mesh.h"

#include <algorithm>

namespace deepshard::runtime {

double Traffic::bytes() const {
  auto whole = static_cast<double>(tensorBytes);
  auto others = static_cast<double>(members - 1) / static_cast<double>(members);
  if (kind == planpb::Collective::ALL_REDUCE)
    return 2 * others * whole;
  if (kind == planpb::Collective::PERMUTE)
    return members == 1 ? 0 : whole;
  return others * whole;
}

std::vector<Traffic> trafficOf(const planpb::Plan &plan, const planpb::Program &program) {
  Mesh mesh(plan.mesh());
  std::vector<Traffic> result;
  for (const planpb::SegmentCall &call : program.schedule())
    for (const planpb::Task &task : program.segments(static_cast<int>(call.segment())).tasks()) {
      if (!task.has_collective())
        continue;
      const planpb::Collective &collective = task.collective();
      std::string axes = mesh.text(collective.group());
      auto entry = std::find_if(result.begin(), result.end(), [&](const Traffic &traffic) {
        return traffic.kind == collective.kind() && traffic.axes == axes;
      });
      if (entry == result.end())
        entry =
            result.insert(entry, {collective.kind(), axes, mesh.parts(collective.group()), 0, 0});
      bool isGather = collective.kind() == planpb::Collective::ALL_GATHER;
      ++entry->calls;
      entry->tensorBytes += *byteSpan(isGather ? collective.output() : collective.input());
    }
  return result;
}

} // namespace deepshard::runtime
