//===- Checker.cpp - proves that a plan can be executed ---------------------------------------===//

#include "runtime/plan/Checker.h"

#include "runtime/plan/CheckerParts.h"

namespace deepshard::runtime {

std::vector<std::string> Faults::take() {
  if (count > listed.size())
    listed.push_back(fmt::format("and {} more faults", count - listed.size()));
  return std::move(listed);
}

static const char *nameOf(planpb::Collective::Kind kind) {
  switch (kind) {
  case planpb::Collective::ALL_REDUCE:
    return "all_reduce";
  case planpb::Collective::REDUCE_SCATTER:
    return "reduce_scatter";
  case planpb::Collective::ALL_GATHER:
    return "all_gather";
  case planpb::Collective::ALL_TO_ALL:
    return "all_to_all";
  case planpb::Collective::PERMUTE:
    return "permute";
  default:
    return "collective";
  }
}

std::string describeTask(const planpb::Segment &segment, int index) {
  const planpb::Task &task = segment.tasks(index);
  std::string kind = "task";
  switch (task.kind_case()) {
  case planpb::Task::kLaunch:
    kind = task.launch().kernel();
    break;
  case planpb::Task::kRecord:
    kind = "record";
    break;
  case planpb::Task::kWait:
    kind = "wait";
    break;
  case planpb::Task::kFeed:
    kind = "feed";
    break;
  case planpb::Task::kCopy:
    kind = "copy";
    break;
  case planpb::Task::kCollective:
    kind = nameOf(task.collective().kind());
    break;
  case planpb::Task::KIND_NOT_SET:
    break;
  }
  std::string place = task.location().empty() ? "" : fmt::format(" ({})", task.location());
  return fmt::format("task {} of segment {}: {}{}", index, segment.name(), kind, place);
}

std::vector<std::string> checkPlan(const planpb::Plan &plan) {
  Faults faults;
  checkTables(plan, faults);
  std::optional<std::string> meshFault = Mesh::faultOf(plan.mesh());
  if (meshFault)
    faults.add("mesh: {}", *meshFault);
  Mesh mesh(meshFault ? planpb::Mesh() : plan.mesh());
  for (const planpb::Program &program : plan.programs()) {
    size_t before = faults.number();
    checkPlaces(plan, program, faults);
    // Order is only defined between places that exist.
    if (faults.number() == before && !meshFault)
      checkOrder(mesh, program, faults);
  }
  return faults.take();
}

} // namespace deepshard::runtime
