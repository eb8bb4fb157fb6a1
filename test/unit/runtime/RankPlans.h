//===- RankPlans.h - small plans of several ranks
//-----------------------------------------------===//

#ifndef DEEPSHARD_TEST_UNIT_RUNTIME_RANKPLANS_H
#define DEEPSHARD_TEST_UNIT_RUNTIME_RANKPLANS_H

#include "test/unit/runtime/PlanBuilder.h"

#include <utility>
#include <vector>

namespace deepshard::runtime::test {

/// The axes of `indices` in a mesh, whole, major to minor.
planpb::AxisList wholeAxes(const std::vector<uint32_t> &indices);

/// A PlanBuilder for a mesh, with a second arena that is a window.
class RankPlanBuilder : public PlanBuilder {
public:
  explicit RankPlanBuilder(const std::vector<std::pair<const char *, uint32_t>> &axes);

  /// A buffer of `elements` numbers of type f64 in the window, placed after all others and
  /// 4,096-aligned.
  planpb::View window(const std::string &name, planpb::Lifetime lifetime, int64_t elements);
  /// The rank's own of the equal parts that dimension 0 of `whole` is cut into over `axes`.
  planpb::View ownPart(planpb::View whole, const planpb::AxisList &axes) const;

  /// A collective with the next sequence number, dimension 0 being cut and joined; a permutation
  /// shifts by one.
  planpb::Task &collective(planpb::Collective::Kind kind, const planpb::AxisList &group,
                           const planpb::View &input, const planpb::View &output,
                           uint32_t stream = 0);

  uint32_t sizeOf(const planpb::AxisList &axes) const;

private:
  uint32_t sequence = 0;
};

} // namespace deepshard::runtime::test

#endif // DEEPSHARD_TEST_UNIT_RUNTIME_RANKPLANS_H
