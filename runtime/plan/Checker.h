//===- Checker.h - proves that a plan can be executed -----------------------------------------===//
//
// The rules are numbered in docs/plan-format.md. The checker shares nothing with the passes that
// make plans but the schema: it looks at the bytes that tasks touch, not at how their places were
// chosen.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_PLAN_CHECKER_H
#define DEEPSHARD_RUNTIME_PLAN_CHECKER_H

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace deepshard::planpb {
class Plan;
class Segment;
class Task;
} // namespace deepshard::planpb

namespace deepshard::runtime {

/// The faults of `plan`, each a sentence naming the place; empty if the plan is sound. At most 20
/// are listed, a last line then says how many more there are. Never throws on any content.
std::vector<std::string> checkPlan(const planpb::Plan &plan);

/// The same where ranks run different programs at once: rank i program `programOf[i]` of the plan.
/// Without it, each program is one that all ranks run.
std::vector<std::string> checkPlan(const planpb::Plan &plan, std::span<const uint32_t> programOf);

/// What a task does: its kernel, collective or kind.
std::string nameOf(const planpb::Task &task);

/// How messages name a task: index, segment, kind or kernel, source location.
std::string describeTask(const planpb::Segment &segment, int task);

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_PLAN_CHECKER_H
