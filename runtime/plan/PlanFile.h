//===- PlanFile.h - the file around a plan ----------------------------------------------------===//
//
// docs/plan-format.md describes the bytes.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_PLAN_PLANFILE_H
#define DEEPSHARD_RUNTIME_PLAN_PLANFILE_H

#include <cstdint>
#include <string>

namespace deepshard::planpb {
class Plan;
}

namespace deepshard::runtime {

/// Version of the file format and of the schema that this build writes; it reads this one only.
inline constexpr uint32_t kPlanFormatVersion = 7;

/// Writes `plan` to `path` (its `format_version` is set to this build's). The file appears whole or
/// not at all. Throws Error.
void writePlan(const planpb::Plan &plan, const std::string &path);

/// Reads a plan. Throws Error if the file is not a plan, ends too early, goes on after its end, has
/// a checksum that does not match, or has a format version that this build does not know. The
/// content is not proven: see Checker.h.
planpb::Plan readPlan(const std::string &path);

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_PLAN_PLANFILE_H
