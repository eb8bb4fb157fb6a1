//===- Summary.h - what a plan holds ----------------------------------------------------------===//

#ifndef DEEPSHARD_TOOLS_DS_RUN_SUMMARY_H
#define DEEPSHARD_TOOLS_DS_RUN_SUMMARY_H

#include <string>

namespace deepshard::planpb {
class Plan;
}

namespace deepshard {

/// What `ds-run --check` prints about a sound plan: several lines.
std::string summarize(const planpb::Plan &plan);

} // namespace deepshard

#endif // DEEPSHARD_TOOLS_DS_RUN_SUMMARY_H
