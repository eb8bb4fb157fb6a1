//===- RendezvousTest.cpp - ranks that wait for each other for ever are found
//--------------------===//

#include "runtime/plan/Checker.h"

#include "test/unit/runtime/RankPlans.h"

using namespace deepshard;
using namespace deepshard::runtime;
using namespace deepshard::runtime::test;
using planpb::Collective;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

constexpr int64_t kElements = 1024;

/// Two programs on a mesh of data 2 x tensor 2, in a chessboard: ranks 0 and 3 run the first, 1 and
/// 2 the second, so every rank meets both in each of its groups. Both call segments "d", an
/// all-reduce over data, and "t", one over tensor, in this order, twice.
struct Chessboard {
  RankPlanBuilder b{{{"data", 2}, {"tensor", 2}}};
  planpb::View x = b.window("x", planpb::PERSISTENT, kElements);
  std::vector<uint32_t> programOf = {0, 1, 1, 0};

  Chessboard() {
    b.program().set_events(1);
    b.program().add_streams("comm");
    uint32_t data = b.segment("d");
    b.collective(Collective::ALL_REDUCE, wholeAxes({0}), x, x);
    uint32_t tensor = b.segment("t");
    b.collective(Collective::ALL_REDUCE, wholeAxes({1}), x, x);
    for (uint32_t segment : {data, tensor, data, tensor})
      b.call(segment);
    *b.plan.add_programs() = b.program();
    second().set_name("other");
  }

  planpb::Program &second() { return *b.plan.mutable_programs(1); }
  Collective &tensorOfSecond() {
    return *second().mutable_segments(1)->mutable_tasks(0)->mutable_collective();
  }
  std::vector<std::string> faults() { return checkPlan(b.plan, programOf); }
};

TEST(RendezvousTest, ProgramsThatAgreePass) {
  EXPECT_THAT(Chessboard().faults(), IsEmpty());
  EXPECT_THAT(checkPlan(Chessboard().b.plan), IsEmpty());
}

TEST(RendezvousTest, CyclesAreToldInWords) {
  Chessboard plan;
  plan.second().mutable_schedule()->SwapElements(2, 3);
  EXPECT_THAT(
      plan.faults(),
      ElementsAre(
          "the ranks wait for each other for ever: "
          "rank 0, stream compute, waits in schedule entry 2, task 0 of segment d: all_reduce "
          "(test) for rank 2; "
          "rank 2, stream compute, waits in schedule entry 2, task 0 of segment t: all_reduce "
          "(test) for rank 3; "
          "rank 3, stream compute, waits in schedule entry 2, task 0 of segment d: all_reduce "
          "(test) for rank 1; "
          "rank 1, stream compute, waits in schedule entry 2, task 0 of segment t: all_reduce "
          "(test) for rank 0"));
  // Either program alone is sound.
  EXPECT_THAT(checkPlan(plan.b.plan), IsEmpty());
}

TEST(RendezvousTest, WaitsInsideARankAreFollowed) {
  Chessboard plan;
  // The second program sends "t" on another stream, but only after its "d" of the next call.
  plan.second().mutable_schedule()->SwapElements(2, 3);
  planpb::Segment &t = *plan.second().mutable_segments(1);
  t.mutable_tasks(0)->set_stream(1);
  for (uint32_t i : {0, 1}) {
    planpb::Segment &segment = *plan.second().mutable_segments(static_cast<int>(i));
    planpb::Task &record = *segment.add_tasks();
    record.set_stream(i);
    record.set_record(0);
    planpb::Task &wait = *segment.add_tasks();
    wait.set_stream(1 - i);
    wait.set_wait(0);
  }
  EXPECT_THAT(plan.faults(),
              Contains(HasSubstr("stream compute, waits in schedule entry 2, task 2 of segment t: "
                                 "wait for its stream comm; rank 1, stream comm, waits in")));
}

TEST(RendezvousTest, MissingCollectiveIsNamed) {
  Chessboard plan;
  plan.second().mutable_schedule()->RemoveLast();
  EXPECT_THAT(plan.faults(), Contains(HasSubstr("for rank 1, which calls 1 collectives of that "
                                                "group")));
}

TEST(RendezvousTest, EveryRankNeedsAProgram) {
  Chessboard plan;
  plan.programOf.pop_back();
  EXPECT_THAT(plan.faults(), ElementsAre("3 ranks have a program, the mesh has 4"));
  plan.programOf.push_back(7);
  EXPECT_THAT(plan.faults(), ElementsAre("a rank runs a program that the plan does not have"));
}

TEST(RendezvousTest, SequenceAscends) {
  Chessboard plan;
  plan.tensorOfSecond().set_sequence(1);
  EXPECT_THAT(
      checkPlan(plan.b.plan),
      ElementsAre("schedule entry 1, task 0 of segment t: all_reduce (test): its sequence 1 "
                  "does not come after the 1 of schedule entry 0, task 0 of segment d: "
                  "all_reduce (test)"));
}

struct Damage {
  const char *name;
  std::function<void(Chessboard &)> apply;
  const char *message;
};

class AgreementTest : public testing::TestWithParam<Damage> {};

TEST_P(AgreementTest, DifferenceIsNamed) {
  Chessboard plan;
  GetParam().apply(plan);
  EXPECT_THAT(plan.faults(), ElementsAre(testing::AllOf(
                                 HasSubstr("rank 0 meets rank 1 in different collectives, "),
                                 HasSubstr(GetParam().message))));
}

const Damage kDamages[] = {
    {"Kind",
     [](Chessboard &p) {
       Collective &permute = p.tensorOfSecond();
       permute.set_kind(Collective::PERMUTE);
       permute.add_sources(1);
       permute.add_sources(0);
       *permute.mutable_output() = p.b.window("y", planpb::PERSISTENT, kElements);
       *p.second().add_buffers() = *p.b.program().buffers().rbegin();
       *p.second().mutable_arenas(1) = p.b.program().arenas(1);
     },
     "which are of different kinds"},
    {"Reduction", [](Chessboard &p) { p.tensorOfSecond().set_reduction(Collective::MAX); },
     "which are of different kinds"},
    {"Sequence", [](Chessboard &p) { p.tensorOfSecond().set_sequence(3); },
     "of sequence 2 and 3; schedule entry 1, task 0 of segment t: all_reduce (test) of program "
     "train and schedule entry 1, task 0 of segment t: all_reduce (test) of program other"},
    {"Size",
     [](Chessboard &p) {
       p.tensorOfSecond().mutable_input()->set_shape(0, 512);
       *p.tensorOfSecond().mutable_output() = p.tensorOfSecond().input();
     },
     "of different types or shapes"},
    {"Cut", [](Chessboard &p) { p.tensorOfSecond().set_split(1); },
     "which cut, join or permute differently"},
    {"Place",
     [](Chessboard &p) {
       planpb::Arena &arena = *p.second().mutable_arenas(1);
       arena.set_bytes(arena.bytes() + 4096);
       p.second().mutable_buffers(0)->set_offset(4096);
       // Over data, ranks 0 and 2 meet; of tensor alone there is something to say.
       for (int program : {0, 1})
         p.b.plan.mutable_programs(program)->mutable_segments(0)->clear_tasks();
     },
     "whose inputs lie at different places of their windows"},
};

INSTANTIATE_TEST_SUITE_P(All, AgreementTest, testing::ValuesIn(kDamages),
                         [](const auto &info) { return std::string(info.param.name); });

/// A plan that uses every axis, of `data` * 4 ranks.
planpb::Plan planOf(uint32_t data) {
  RankPlanBuilder b({{"pipe", 2}, {"data", data}, {"tensor", 2}});
  b.program().add_streams("comm");
  b.program().set_events(1);
  std::vector<planpb::View> layers;
  for (int i = 0; i < 100; ++i)
    layers.push_back(b.window("x", planpb::PERSISTENT, 16384 * 8));
  uint32_t step = b.segment("step");
  for (const planpb::View &layer : layers)
    for (uint32_t axis : {0, 1, 2}) {
      planpb::AxisList group = wholeAxes({axis});
      b.launch("update", {b.ownPart(layer, group)}, {b.ownPart(layer, group)});
      b.record(0, 0);
      b.wait(1, 0);
      b.collective(Collective::ALL_GATHER, group, b.ownPart(layer, group), layer, 1);
      b.record(1, 0);
      b.wait(0, 0);
    }
  for (int i = 0; i < 4; ++i)
    b.call(step);
  return b.plan;
}

TEST(RendezvousTest, ManyEqualRanks) {
  planpb::Plan many = planOf(4096);
  ASSERT_EQ(many.ranks(), 16384u);
  EXPECT_THAT(checkPlan(many), IsEmpty());
}

/// Four stages of 4,096 ranks that reduce together: four classes, and a cycle through all of them.
TEST(RendezvousTest, StagesAreClasses) {
  RankPlanBuilder b({{"pipe", 4}, {"data", 4096}});
  planpb::View x = b.window("x", planpb::PERSISTENT, kElements);
  uint32_t data = b.segment("data");
  b.collective(Collective::ALL_REDUCE, wholeAxes({1}), x, x);
  uint32_t pipe = b.segment("pipe");
  b.collective(Collective::ALL_REDUCE, wholeAxes({0}), x, x);
  for (uint32_t segment : {data, pipe, data, pipe})
    b.call(segment);
  std::vector<uint32_t> programOf;
  for (uint32_t rank = 0; rank < b.plan.ranks(); ++rank)
    programOf.push_back(rank / 4096);
  for (int i = 1; i < 4; ++i)
    *b.plan.add_programs() = planpb::Program(b.program());
  EXPECT_THAT(checkPlan(b.plan, programOf), IsEmpty());
  b.plan.mutable_programs(2)->mutable_schedule()->RemoveLast();
  EXPECT_THAT(checkPlan(b.plan, programOf),
              Contains(HasSubstr("for rank 8192, which calls 1 collectives of that group")));
  // A program in which the last two come the other way round, on every second rank of the last two
  // stages: it takes both stages for the cycle to close.
  b.plan.mutable_programs(2)->add_schedule()->set_segment(pipe);
  *b.plan.add_programs() = planpb::Program(b.plan.programs(3));
  b.plan.mutable_programs(4)->mutable_schedule()->SwapElements(2, 3);
  for (uint32_t rank = 2 * 4096; rank < 3 * 4096; rank += 2)
    programOf[rank] = 4;
  EXPECT_THAT(checkPlan(b.plan, programOf), IsEmpty());
  for (uint32_t rank = 3 * 4096 + 1; rank < b.plan.ranks(); rank += 2)
    programOf[rank] = 4;
  EXPECT_THAT(checkPlan(b.plan, programOf), Contains(HasSubstr("wait for each other for ever")));
}

} // namespace
