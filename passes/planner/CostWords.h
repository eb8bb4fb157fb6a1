//===- CostWords.h - costs of layouts in the words of what is to be least ---------------------===//

#ifndef DEEPSHARD_PASSES_PLANNER_COSTWORDS_H
#define DEEPSHARD_PASSES_PLANNER_COSTWORDS_H

#include "passes/planner/LayoutNetwork.h"

#include <string>

namespace deepshard {

/// Says what is compared: the time of a micro-batch, or the bytes that a rank receives in a step
/// and that time.
class CostWords {
public:
  explicit CostWords(Objective objective) : countsBytes(objective == Objective::Traffic) {}

  /// "4.10 us", "8.00 KiB and 4.10 us".
  std::string text(Cost cost) const;
  /// "a micro-batch takes 529.38 us".
  std::string summary(Cost cost) const;
  std::string parts(const LayoutNetwork::Breakdown &parts) const;
  /// Of `other` beside `best`: "4.10 us (0.77 %) more".
  std::string more(Cost other, Cost best) const;
  /// What has or takes that: "a micro-batch would take ".
  const char *subject(Cost other, Cost best) const;

private:
  bool countsBytes;
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLANNER_COSTWORDS_H
