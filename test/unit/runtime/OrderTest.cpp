//===- OrderTest.cpp - order of collectives and of parts that differ from rank to rank
//------------===//

#include "runtime/plan/Checker.h"

#include "test/unit/runtime/RankPlans.h"

#include <functional>

using namespace deepshard;
using namespace deepshard::runtime;
using namespace deepshard::runtime::test;
using planpb::Collective;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

constexpr int64_t kElements = 4096; // 8 pages; 2 to 4 parts are pages too
constexpr uint32_t kCompute = 0;
constexpr uint32_t kComm = 1;

/// ZeRO-1 on two streams:
///
///   compute: fill gradient | record 0 |                         wait 1 | update own |record 2|
///   comm:                  wait 0 | reduce_scatter own | record 1                wait 2 | gather
///
/// The reduced gradient is the rank's own part of the gradient, the updated parameters the own part
/// of all parameters. The metric reads parameters, so the step joins the gather.
struct ZeroOne {
  RankPlanBuilder b;
  planpb::AxisList data = wholeAxes({0});
  planpb::View parameters, gradient, ownParameters, ownGradient;

  explicit ZeroOne(uint32_t ranks = 4) : b({{"data", ranks}}) {
    b.program().add_streams("comm");
    b.program().set_events(4);
    parameters = b.window("parameters", planpb::PERSISTENT, kElements);
    gradient = b.window("gradient", planpb::TRANSIENT, kElements);
    ownParameters = b.ownPart(parameters, data);
    ownGradient = b.ownPart(gradient, data);
    uint32_t step = b.segment("step");
    b.launch("fill", {parameters}, {gradient});                                   // 0
    b.record(kCompute, 0);                                                        // 1
    b.wait(kComm, 0);                                                             // 2
    b.collective(Collective::REDUCE_SCATTER, data, gradient, ownGradient, kComm); // 3
    b.record(kComm, 1);                                                           // 4
    b.wait(kCompute, 1);                                                          // 5
    b.launch("update", {ownGradient, ownParameters}, {ownParameters});            // 6
    b.record(kCompute, 2);                                                        // 7
    b.wait(kComm, 2);                                                             // 8
    b.collective(Collective::ALL_GATHER, data, ownParameters, parameters, kComm); // 9
    b.record(kComm, 3);                                                           // 10
    b.wait(kCompute, 3);                                                          // 11
    b.call(step);
    b.call(step);
  }

  planpb::Segment &step() { return *b.program().mutable_segments(0); }
  Collective &scatter() { return *step().mutable_tasks(3)->mutable_collective(); }
  Collective &gather() { return *step().mutable_tasks(9)->mutable_collective(); }
  std::vector<std::string> faults() { return checkPlan(b.plan); }
};

TEST(OrderTest, OwnPartsInPlacePass) {
  for (uint32_t ranks : {1, 2, 4})
    EXPECT_THAT(ZeroOne(ranks).faults(), IsEmpty()) << ranks;
}

TEST(OrderTest, EveryRecordAndWaitAroundCollectivesIsNeeded) {
  for (int task : {1, 2, 4, 5, 7, 8, 10, 11}) {
    ZeroOne plan;
    plan.step().mutable_tasks()->DeleteSubrange(task, 1);
    EXPECT_THAT(plan.faults(), testing::Not(IsEmpty())) << "task " << task;
  }
}

TEST(OrderTest, PartsOfTwoAxesPass) {
  RankPlanBuilder b({{"pipe", 2}, {"data", 4}, {"tensor", 2}});
  planpb::AxisList axes = wholeAxes({1, 2});
  planpb::View whole = b.window("whole", planpb::TRANSIENT, kElements);
  planpb::View own = b.ownPart(whole, axes);
  uint32_t step = b.segment("step");
  b.launch("fill", {}, {own});
  b.collective(Collective::ALL_GATHER, axes, own, whole);
  b.call(step);
  EXPECT_THAT(checkPlan(b.plan), IsEmpty());
  // The other way round, a rank's part has another number.
  *b.program().mutable_segments(0)->mutable_tasks(1)->mutable_collective()->mutable_group() =
      wholeAxes({2, 1});
  EXPECT_THAT(checkPlan(b.plan), Contains(HasSubstr("lies elsewhere on each rank of its group")));
}

/// A gather in two steps, over the tensor axis inside the rank's part over the data axis first.
TEST(OrderTest, GathersOfPartsOfPartsPass) {
  RankPlanBuilder b({{"data", 2}, {"tensor", 2}});
  planpb::AxisList data = wholeAxes({0}), tensor = wholeAxes({1});
  planpb::View whole = b.window("whole", planpb::TRANSIENT, kElements);
  planpb::View outer = b.ownPart(whole, data);
  planpb::View inner = b.ownPart(whole, wholeAxes({0, 1}));
  uint32_t step = b.segment("step");
  b.launch("fill", {}, {inner});
  b.collective(Collective::ALL_GATHER, tensor, inner, outer);
  b.collective(Collective::ALL_GATHER, data, outer, whole);
  b.launch("use", {whole}, {inner});
  b.call(step);
  EXPECT_THAT(checkPlan(b.plan), IsEmpty());
  b.program().mutable_segments(0)->mutable_tasks()->DeleteSubrange(1, 1);
  EXPECT_THAT(checkPlan(b.plan), Contains(HasSubstr("only a part of each rank's own")));
}

TEST(OrderTest, SubAxesAreOneAxisTogether) {
  RankPlanBuilder b({{"data", 4}});
  planpb::AxisList halves = wholeAxes({0, 0});
  for (uint32_t i : {0, 1}) {
    halves.mutable_axes(static_cast<int>(i))->set_pre_size(i == 0 ? 1 : 2);
    halves.mutable_axes(static_cast<int>(i))->set_size(2);
  }
  planpb::View whole = b.window("whole", planpb::TRANSIENT, kElements);
  uint32_t step = b.segment("step");
  b.launch("fill", {}, {b.ownPart(whole, halves)});
  b.collective(Collective::ALL_GATHER, wholeAxes({0}), b.ownPart(whole, wholeAxes({0})), whole);
  b.call(step);
  EXPECT_THAT(checkPlan(b.plan), IsEmpty());
}

TEST(OrderTest, OwnPartsAreComparedByTheByte) {
  RankPlanBuilder b({{"data", 4}});
  planpb::View whole = b.window("whole", planpb::TRANSIENT, kElements);
  planpb::View own = b.ownPart(whole, wholeAxes({0}));
  own.set_shape(0, 1000);
  planpb::View next = own;
  next.set_offset(8);
  planpb::View result = b.buffer("result", planpb::STEP, planpb::F64, {1000});
  uint32_t step = b.segment("step");
  b.launch("fill", {}, {own});
  b.launch("use", {own}, {result});
  b.call(step);
  EXPECT_THAT(checkPlan(b.plan), IsEmpty());
  *b.program().mutable_segments(0)->mutable_tasks(1)->mutable_launch()->mutable_inputs(0) = next;
  EXPECT_THAT(checkPlan(b.plan), Contains(HasSubstr("only a part of each rank's own")));
}

/// Whoever shares bytes with the last part shares them with the own part of the last rank.
TEST(OrderTest, ReuseOfAnyPartEndsAllParts) {
  RankPlanBuilder b({{"data", 4}});
  planpb::View whole = b.window("whole", planpb::TRANSIENT, kElements);
  planpb::View own = b.ownPart(whole, wholeAxes({0}));
  planpb::View other = b.window("other", planpb::TRANSIENT, 512);
  b.program().mutable_buffers(1)->set_offset(3 * 8192 + 4096);
  planpb::View result = b.buffer("result", planpb::STEP, planpb::F64, {1024});
  uint32_t step = b.segment("step");
  b.launch("fill", {}, {own});
  b.launch("use", {own}, {result});
  b.launch("fill", {}, {other});
  b.call(step);
  EXPECT_THAT(checkPlan(b.plan), IsEmpty());
  b.program().mutable_segments(0)->mutable_tasks()->SwapElements(1, 2);
  EXPECT_THAT(checkPlan(b.plan), Contains(HasSubstr("they hold buffer other")));
}

/// A transient buffer is new in each call, also where only own parts of it are written anew.
TEST(OrderTest, OwnPartsDoNotRenewTheRest) {
  RankPlanBuilder b({{"data", 4}});
  planpb::View whole = b.window("whole", planpb::TRANSIENT, kElements);
  planpb::View own = b.ownPart(whole, wholeAxes({0}));
  planpb::View result = b.buffer("result", planpb::STEP, planpb::F64, {kElements});
  uint32_t first = b.segment("first");
  b.launch("fill", {}, {whole});
  uint32_t second = b.segment("second");
  b.launch("fill", {}, {own});
  b.launch("use", {whole}, {result});
  uint32_t third = b.segment("third");
  b.launch("use", {own}, {b.ownPart(result, wholeAxes({0}))});
  b.call(first);
  b.call(second);
  EXPECT_THAT(checkPlan(b.plan), Contains(HasSubstr("were never written in this segment call")));
  // In one call the rest keeps what was filled in before.
  planpb::Segment &both = *b.program().mutable_segments(1);
  *both.add_tasks() = b.program().segments(0).tasks(0);
  both.mutable_tasks()->SwapElements(1, 2);
  both.mutable_tasks()->SwapElements(0, 1);
  EXPECT_THAT(checkPlan(b.plan), IsEmpty());
  // Own parts are gone too when the call is over.
  both.mutable_tasks()->DeleteSubrange(0, 1);
  both.mutable_tasks()->DeleteSubrange(1, 1);
  b.program().mutable_schedule()->DeleteSubrange(0, 1);
  EXPECT_THAT(checkPlan(b.plan), IsEmpty());
  b.call(third);
  EXPECT_THAT(checkPlan(b.plan), Contains(HasSubstr("task 0 of segment third")));
}

struct Damage {
  const char *name;
  std::function<void(ZeroOne &)> apply;
  const char *message;
};

class RankDamageTest : public testing::TestWithParam<Damage> {};

TEST_P(RankDamageTest, IsFoundAndNamed) {
  ZeroOne plan;
  GetParam().apply(plan);
  EXPECT_THAT(plan.faults(), Contains(HasSubstr(GetParam().message)));
}

planpb::View moved(planpb::View view, uint64_t bytes) {
  view.set_offset(view.offset() + bytes);
  return view;
}

/// [n] as [1, n].
void toRow(planpb::View &view) {
  view.add_shape(view.shape(0));
  view.set_shape(0, 1);
  view.add_strides(1);
  view.set_strides(0, view.shape(1));
}

const Damage kDamages[] = {
    {"AxisOutsideMesh",
     [](ZeroOne &p) {
       p.gather().mutable_input()->mutable_axis_strides(0)->mutable_axis()->set_axis(1);
     },
     "axis 1 of 1 does not exist"},
    {"PartOutsideBuffer",
     [](ZeroOne &p) { p.gather().mutable_input()->mutable_axis_strides(0)->set_bytes(16384); },
     "do not lie in buffer parameters"},
    {"GroupOutsideMesh",
     [](ZeroOne &p) { p.gather().mutable_group()->mutable_axes(0)->set_axis(3); },
     "axis 3 of 1 does not exist"},
    {"OnlyOwnPartWritten",
     [](ZeroOne &p) {
       *p.step().mutable_tasks(0)->mutable_launch()->mutable_outputs(0) = p.ownGradient;
     },
     "reads buffer gradient, but of bytes 32768 to 65536 of arena 1 only a part of each rank's "
     "own was written"},
    {"ScatterIntoAnotherPart",
     [](ZeroOne &p) { p.scatter().mutable_output()->clear_axis_strides(); }, "may work in place"},
    {"GatherShiftedInput",
     [](ZeroOne &p) {
       p.gather().mutable_input()->set_shape(0, 1023);
       p.gather().mutable_input()->set_offset(8);
       p.gather().mutable_output()->set_shape(0, 4 * 1023);
     },
     "lies elsewhere on each rank of its group"},
    {"GatherOfInnerDimension",
     [](ZeroOne &p) {
       toRow(*p.gather().mutable_input());
       toRow(*p.gather().mutable_output());
       p.gather().set_concat(1);
     },
     "lies elsewhere on each rank of its group"},
    {"ScatterOfInnerDimension",
     [](ZeroOne &p) {
       toRow(*p.scatter().mutable_input());
       toRow(*p.scatter().mutable_output());
       p.scatter().set_split(1);
     },
     "may work in place"},
    {"ReduceHalfInPlace",
     [](ZeroOne &p) {
       p.scatter().set_kind(Collective::ALL_REDUCE);
       p.scatter().mutable_input()->set_shape(0, 1000);
       *p.scatter().mutable_output() = moved(p.scatter().input(), 8);
     },
     "may work in place"},
    {"ReduceOfOwnParts",
     [](ZeroOne &p) {
       p.scatter().set_kind(Collective::ALL_REDUCE);
       *p.scatter().mutable_input() = p.ownGradient;
     },
     "its input in buffer gradient lies elsewhere"},
    {"ReduceIntoOwnParts",
     [](ZeroOne &p) {
       p.scatter().set_kind(Collective::ALL_REDUCE);
       *p.scatter().mutable_input() =
           p.b.window("input", planpb::PERSISTENT, p.ownGradient.shape(0));
     },
     "its output in buffer gradient lies elsewhere"},
    {"ExchangeInPlace",
     [](ZeroOne &p) {
       p.scatter().set_kind(Collective::ALL_TO_ALL);
       *p.scatter().mutable_output() = p.gradient;
     },
     "may work in place"},
    {"CollectivesOfAGroupApart",
     [](ZeroOne &p) {
       // A second reduction, of nothing that the first touches, but not ordered with it.
       planpb::View other = p.b.window("other", planpb::PERSISTENT, 4);
       p.b.collective(Collective::ALL_REDUCE, p.data, other, other, kCompute);
       p.step().mutable_tasks()->SwapElements(5, 12);
     },
     "does not wait for"},
};

INSTANTIATE_TEST_SUITE_P(All, RankDamageTest, testing::ValuesIn(kDamages),
                         [](const auto &info) { return std::string(info.param.name); });

} // namespace
