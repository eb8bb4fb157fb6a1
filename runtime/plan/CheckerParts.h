//===- CheckerParts.h - the parts of the checker (private) ------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_PLAN_CHECKERPARTS_H
#define DEEPSHARD_RUNTIME_PLAN_CHECKERPARTS_H

#include "runtime/plan/Checker.h"
#include "runtime/plan/Mesh.h"
#include "runtime/plan/plan.pb.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <utility>
#include <vector>

namespace deepshard::runtime {

/// Collects faults up to a number that a person reads.
class Faults {
public:
  template <typename... Args> void add(fmt::format_string<Args...> format, Args &&...args) {
    ++count;
    if (count <= kMostListed)
      listed.push_back(fmt::format(format, std::forward<Args>(args)...));
  }
  bool any() const { return count > 0; }
  size_t number() const { return count; }
  std::vector<std::string> take();

  static constexpr size_t kMostListed = 20;

private:
  std::vector<std::string> listed;
  size_t count = 0;
};

/// Rules 1, 2 and 9 for what belongs to the plan as a whole: inputs, parameters, training numbers.
void checkTables(const planpb::Plan &plan, const Mesh &mesh, Faults &faults);

/// Rules 1, 2, 3, 6, 9 and 10 for one program.
void checkPlaces(const planpb::Plan &plan, const Mesh &mesh, const planpb::Program &program,
                 Faults &faults);

/// Rule 9 for the buckets of one program and the parameters in them.
void checkBuckets(const planpb::Plan &plan, const Mesh &mesh, const planpb::Program &program,
                  Faults &faults);

/// Rule 10 for the kind, shapes and places of one task, which `what` names.
void checkCollective(const Mesh &mesh, const planpb::Program &program,
                     const planpb::Collective &collective, const std::string &what, Faults &faults);

/// Rule 11, of a plan for CUDA rule 12.
void checkCode(const planpb::Plan &plan, Faults &faults);

/// Rule 12.
void checkDeviceCode(const planpb::Plan &plan, Faults &faults);

/// Rules 4 and 5 for one program without faults by `checkPlaces`.
void checkOrder(const Mesh &mesh, const planpb::Program &program, Faults &faults);

/// Rules 7 and 8 for ranks of which rank i runs `programOf[i]`, or all the only one that is given;
/// for programs without faults by `checkOrder`.
void checkRendezvous(const Mesh &mesh, const std::vector<const planpb::Program *> &programOf,
                     Faults &faults);

/// Rules 1 and 2 for one view; `what` names it ("input 1 of task 3 ..."). True if it is sound.
bool checkView(const Mesh &mesh, const planpb::Program &program, const planpb::View &view,
               const std::string &what, Faults &faults);

/// Rule 2 for a sound view that is written.
void checkWritten(const planpb::Program &program, const planpb::View &view, const std::string &what,
                  Faults &faults);

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_PLAN_CHECKERPARTS_H
