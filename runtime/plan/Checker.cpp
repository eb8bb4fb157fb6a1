//===- Checker.cpp - proves that a plan can be executed ---------------------------------------===//

#include "runtime/plan/Checker.h"

#include "runtime/plan/CheckerParts.h"
#include "runtime/plan/Types.h"

namespace deepshard::runtime {

std::vector<std::string> Faults::take() {
  if (count > listed.size())
    listed.push_back(fmt::format("and {} more faults", count - listed.size()));
  return std::move(listed);
}

std::string nameOf(const planpb::Task &task) {
  switch (task.kind_case()) {
  case planpb::Task::kLaunch:
    return task.launch().kernel();
  case planpb::Task::kRecord:
    return "record";
  case planpb::Task::kWait:
    return "wait";
  case planpb::Task::kFeed:
    return "feed";
  case planpb::Task::kCopy:
    return "copy";
  case planpb::Task::kCollective:
    return std::string(nameOf(task.collective().kind()));
  case planpb::Task::KIND_NOT_SET:
    break;
  }
  return "task";
}

std::string describeTask(const planpb::Segment &segment, int index) {
  const planpb::Task &task = segment.tasks(index);
  std::string place = task.location().empty() ? "" : fmt::format(" ({})", task.location());
  return fmt::format("task {} of segment {}: {}{}", index, segment.name(), nameOf(task), place);
}

namespace {

/// Checks a plan but for what its ranks do together.
class PlanCheck {
public:
  explicit PlanCheck(const planpb::Plan &plan) : plan(plan), isSound(plan.programs_size()) {
    if (auto fault = Mesh::faultOf(plan.mesh())) {
      faults.add("mesh: {}", *fault);
      return;
    }
    mesh = Mesh(plan.mesh());
    checkTables(plan, mesh, faults);
    // Places of parameters are only defined between sound tables.
    if (faults.any())
      return;
    for (int i = 0; i < plan.programs_size(); ++i)
      isSound[static_cast<size_t>(i)] = checkProgram(plan.programs(i));
    checkCode(plan, faults);
  }

  const planpb::Plan &plan;
  Faults faults;
  Mesh mesh{planpb::Mesh()};
  std::vector<bool> isSound; // per program

private:
  bool checkProgram(const planpb::Program &program) {
    size_t before = faults.number();
    checkPlaces(plan, mesh, program, faults);
    // Order is only defined between places that exist.
    if (faults.number() == before)
      checkOrder(mesh, program, faults);
    return faults.number() == before;
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
