//===- CostWords.cpp - costs of layouts in the words of what is to be least -------------------===//

#include "passes/planner/CostWords.h"

#include "passes/Quantities.h"

namespace deepshard {

/// Also without what would be a share of nothing.
static std::string withPercent(const std::string &text, int64_t part, int64_t whole) {
  if (whole == 0)
    return text;
  return llvm::formatv("{0} ({1:F2} %)", text,
                       100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string CostWords::text(Cost cost) const {
  return countsBytes ? bytesText(cost.traffic) + " and " + timeText(cost.time)
                     : timeText(cost.time);
}

std::string CostWords::summary(Cost cost) const {
  const std::string time = "a micro-batch takes " + timeText(cost.time);
  return countsBytes ? "a rank receives " + bytesText(cost.traffic) + " a step and " + time : time;
}

std::string CostWords::parts(const LayoutNetwork::Breakdown &parts) const {
  return "computing " + timeText(parts.compute.time) + ", updates " + text(parts.update) +
         ", moves between layouts " + text(parts.moves);
}

std::string CostWords::more(Cost other, Cost best) const {
  const Cost more = other - best;
  if (!countsBytes)
    return withPercent(timeText(more.time), more.time, best.time) + " more";
  if (more.traffic > 0)
    return withPercent(bytesText(more.traffic), more.traffic, best.traffic) + " a step more";
  return withPercent(timeText(more.time), more.time, best.time) + " more for the same bytes";
}

const char *CostWords::subject(Cost other, Cost best) const {
  return countsBytes && other.traffic > best.traffic ? "a rank would receive "
                                                     : "a micro-batch would take ";
}

} // namespace deepshard
