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

namespace {

/// Checks a plan but for what its ranks do together.
class PlanCheck {
public:
  explicit PlanCheck(const planpb::Plan &plan) : plan(plan) {
    checkTables(plan, faults);
    std::optional<std::string> fault = Mesh::faultOf(plan.mesh());
    if (fault)
      faults.add("mesh: {}", *fault);
    else
      mesh = Mesh(plan.mesh());
    for (const planpb::Program &program : plan.programs())
      isSound.push_back(checkProgram(program, !fault));
  }

  const planpb::Plan &plan;
  Faults faults;
  Mesh mesh{planpb::Mesh()};
  std::vector<bool> isSound; // per program

private:
  bool checkProgram(const planpb::Program &program, bool hasMesh) {
    size_t before = faults.number();
    checkPlaces(plan, program, faults);
    // Order is only defined between places that exist.
    if (faults.number() == before && hasMesh)
      checkOrder(mesh, program, faults);
    return faults.number() == before && hasMesh;
  }
};

} // namespace

std::vector<std::string> checkPlan(const planpb::Plan &plan) {
  PlanCheck check(plan);
  for (int i = 0; i < plan.programs_size(); ++i)
    if (check.isSound[static_cast<size_t>(i)])
      checkRendezvous(check.mesh, {&plan.programs(i)}, check.faults);
  return check.faults.take();
}

std::vector<std::string> checkPlan(const planpb::Plan &plan, std::span<const uint32_t> programOf) {
  PlanCheck check(plan);
  std::vector<const planpb::Program *> programs;
  for (uint32_t index : programOf)
    if (index < check.isSound.size() && check.isSound[index])
      programs.push_back(&plan.programs(static_cast<int>(index)));
  if (programOf.size() != check.mesh.ranks())
    check.faults.add("{} ranks have a program, the mesh has {}", programOf.size(),
                     check.mesh.ranks());
  else if (programs.size() == programOf.size())
    checkRendezvous(check.mesh, programs, check.faults);
  else if (!check.faults.any())
    check.faults.add("a rank runs a program that the plan does not have");
  return check.faults.take();
}

} // namespace deepshard::runtime
