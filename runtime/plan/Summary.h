//===- Summary.h - what a plan holds ----------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_PLAN_SUMMARY_H
#define DEEPSHARD_RUNTIME_PLAN_SUMMARY_H

#include <string>

namespace deepshard::planpb {
class Plan;
}

namespace deepshard::runtime {

/// What `ds-run --check` and `ds-opt --explain` print about a sound plan: several lines.
std::string summarize(const planpb::Plan &plan);

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_PLAN_SUMMARY_H
