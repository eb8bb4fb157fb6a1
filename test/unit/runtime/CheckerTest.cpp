//===- CheckerTest.cpp - sound plans pass, each kind of damage is found -----------------------===//

#include "runtime/plan/Checker.h"

#include "test/unit/runtime/PlanBuilder.h"

#include <functional>
#include <utility>

using namespace deepshard;
using namespace deepshard::runtime;
using namespace deepshard::runtime::test;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

constexpr auto kF64 = planpb::F64;

/// Two micro-batches on two streams. The second stream squares what the first has computed:
///
///   compute: fill a | record 0 |            wait 1 | add total, b
///   side:              wait 0  | mul a -> b | record 1
///
/// `a` and `c` share bytes: `c` is used after the last use of `a`.
struct TwoStreams {
  PlanBuilder builder;
  planpb::View a, b, c, total;

  TwoStreams() {
    PlanBuilder &p = builder;
    p.program().add_streams("side");
    p.program().set_events(2);
    p.plan.mutable_training()->set_accumulation(2);
    p.plan.mutable_training()->set_global_batch(2);
    total = p.buffer("total", planpb::STEP, kF64, {8});
    a = p.buffer("a", planpb::TRANSIENT, kF64, {8});
    b = p.buffer("b", planpb::TRANSIENT, kF64, {8});
    c = p.buffer("c", planpb::TRANSIENT, kF64, {8});
    p.program().mutable_buffers(3)->set_offset(p.program().buffers(1).offset());
    uint32_t start = p.segment("start");
    p.launch("fill", {}, {total});
    uint32_t body = p.segment("body");
    p.launch("fill", {}, {a});
    p.record(0, 0);
    p.wait(1, 0);
    p.launch("mul", {a, a}, {b}, 1);
    p.record(1, 1);
    p.wait(0, 1);
    p.launch("add", {total, b}, {total});
    p.launch("fill", {}, {c});
    p.launch("add", {total, c}, {total});
    p.call(start);
    p.call(body, 0);
    p.call(body, 1);
  }

  planpb::Program &program() { return builder.program(); }
  planpb::Segment &body() { return *program().mutable_segments(1); }
  std::vector<std::string> faults() { return checkPlan(builder.plan); }
};

TEST(CheckerTest, SoundPlansPass) {
  EXPECT_THAT(TwoStreams().faults(), IsEmpty());
  TemporaryDirectory directory;
  writeFile(directory.path("w"), bytesOf(std::vector<double>(4)));
  EXPECT_THAT(checkPlan(linearRegression(directory.path("w"), 4, 2, 5, 0.1)), IsEmpty());
}

TEST(CheckerTest, EveryDroppedRecordOrWaitIsFound) {
  for (int task : {1, 2, 4, 5}) {
    TwoStreams plan;
    plan.body().mutable_tasks()->DeleteSubrange(task, 1);
    EXPECT_THAT(plan.faults(), testing::Not(IsEmpty())) << "task " << task;
  }
}

TEST(CheckerTest, RacesAreNamed) {
  TwoStreams read;
  read.body().mutable_tasks()->DeleteSubrange(2, 1); // the side stream no longer waits
  EXPECT_THAT(read.faults(), Contains(HasSubstr("reads buffer a without waiting for")));
  TwoStreams reuse;
  // Without its second wait, the compute stream overwrites a (as c) while the side stream reads it.
  reuse.body().mutable_tasks()->DeleteSubrange(5, 2);
  EXPECT_THAT(reuse.faults(), Contains(HasSubstr("writes buffer c without waiting for")));
}

TEST(CheckerTest, EverySwapOfDependentTasksIsFound) {
  TemporaryDirectory directory;
  writeFile(directory.path("w"), bytesOf(std::vector<double>(4)));
  planpb::Plan good = linearRegression(directory.path("w"), 4, 2, 2, 0.1);
  // Tasks of a micro-batch of which the second needs the first, one after another or not.
  for (auto [i, j] : {std::pair(0, 2), {1, 3}, {2, 3}, {4, 5}, {6, 7}}) {
    planpb::Plan bad = good;
    bad.mutable_programs(0)->mutable_segments(1)->mutable_tasks()->SwapElements(i, j);
    EXPECT_THAT(checkPlan(bad), Contains(HasSubstr("never written"))) << i;
  }
}

TEST(CheckerTest, EveryShiftedOffsetIsFound) {
  TwoStreams good;
  for (int i = 0; i < good.program().buffers_size(); ++i) {
    for (int64_t shift : {-64, -8, 8, 64}) {
      TwoStreams plan;
      planpb::Buffer &buffer = *plan.program().mutable_buffers(i);
      // One line further, b lies where nobody is, and c where b has had its last use: still sound.
      if (shift == 64 && (buffer.name() == "b" || buffer.name() == "c"))
        continue;
      buffer.set_offset(buffer.offset() + static_cast<uint64_t>(shift));
      EXPECT_THAT(plan.faults(), testing::Not(IsEmpty())) << buffer.name() << " by " << shift;
    }
  }
}

TEST(CheckerTest, OverwrittenValueIsFound) {
  TwoStreams plan;
  // c moves onto b: "add total, b" comes before, but b's place is still fine; now use b after c.
  plan.program().mutable_buffers(3)->set_offset(plan.program().buffers(2).offset());
  *plan.body().mutable_tasks(8)->mutable_launch()->mutable_inputs(1) = plan.b;
  EXPECT_THAT(plan.faults(), Contains(HasSubstr("they hold buffer c")));
}

struct Damage {
  const char *name;
  std::function<void(TwoStreams &)> apply;
  const char *message;
};

class DamageTest : public testing::TestWithParam<Damage> {};

TEST_P(DamageTest, IsFoundAndNamed) {
  TwoStreams plan;
  GetParam().apply(plan);
  EXPECT_THAT(plan.faults(), Contains(HasSubstr(GetParam().message)));
}

planpb::View &firstOutput(TwoStreams &plan, int task) {
  return *plan.body().mutable_tasks(task)->mutable_launch()->mutable_outputs(0);
}

const Damage kDamages[] = {
    {"ArenaTooSmall",
     [](TwoStreams &p) {
       p.program().mutable_arenas(0)->set_bytes(p.program().arenas(0).bytes() - 65);
     },
     "do not lie in arena 0"},
    {"OverBudget", [](TwoStreams &p) { p.builder.plan.set_memory_budget(100); },
     "the budget of a rank is 100"},
    {"OffsetOverflow",
     [](TwoStreams &p) { p.program().mutable_buffers(1)->set_offset(UINT64_MAX - 63); },
     "do not lie in arena"},
    {"ViewOutsideBuffer", [](TwoStreams &p) { firstOutput(p, 0).set_offset(8); },
     "do not lie in buffer a"},
    {"HugeShape", [](TwoStreams &p) { firstOutput(p, 0).set_shape(0, INT64_MAX); },
     "are not valid"},
    {"NegativeStride", [](TwoStreams &p) { firstOutput(p, 0).set_strides(0, -1); },
     "are not valid"},
    {"RankMismatch", [](TwoStreams &p) { firstOutput(p, 0).add_strides(1); }, "are not valid"},
    {"UnknownType",
     [](TwoStreams &p) { firstOutput(p, 0).set_dtype(static_cast<planpb::DType>(99)); },
     "are not valid"},
    {"RepeatedOutput", [](TwoStreams &p) { firstOutput(p, 0).set_strides(0, 0); },
     "repeats (stride 0)"},
    {"MissingBuffer", [](TwoStreams &p) { firstOutput(p, 0).set_buffer(77); },
     "buffer 77 of 4 does not exist"},
    {"MissingStream", [](TwoStreams &p) { p.body().mutable_tasks(0)->set_stream(2); },
     "stream 2 of 2 does not exist"},
    {"MissingEvent", [](TwoStreams &p) { p.body().mutable_tasks(1)->set_record(2); },
     "event 2 of 2 does not exist"},
    {"MissingSegment", [](TwoStreams &p) { p.program().mutable_schedule(0)->set_segment(2); },
     "segment 2 of 2 does not exist"},
    {"MissingMicroBatch",
     [](TwoStreams &p) { p.program().mutable_schedule(0)->set_micro_batch(2); },
     "micro-batch 2 of 2 does not exist"},
    {"UnknownTask", [](TwoStreams &p) { p.body().mutable_tasks(0)->clear_kind(); },
     "of a kind that this ds-run does not know"},
    {"MissingInput", [](TwoStreams &p) { p.builder.feed(3, p.a); }, "input 3 of 0 does not exist"},
    {"SharedWithPersistent",
     [](TwoStreams &p) {
       p.program().mutable_buffers(0)->set_lifetime(planpb::PERSISTENT);
       p.program().mutable_buffers(1)->set_offset(p.program().buffers(0).offset());
     },
     "share bytes"},
    {"SharedWithLivingOfTheStep",
     [](TwoStreams &p) {
       p.program().mutable_buffers(1)->set_offset(p.program().buffers(0).offset());
     },
     "reads buffer total, but bytes 0 to 64 of arena 0 were overwritten"},
    {"WriteOverOwnInput",
     [](TwoStreams &p) {
       p.program().mutable_buffers(2)->set_offset(p.program().buffers(1).offset());
     },
     "is written while buffer"},
    {"ReadInNextCall",
     [](TwoStreams &p) {
       // The value of b is wanted before this call has computed it.
       p.body().mutable_tasks()->SwapElements(0, 6);
     },
     "reads buffer b"},
    {"NoProgram", [](TwoStreams &p) { p.builder.plan.clear_programs(); }, "no program"},
    {"UnknownRunState",
     [](TwoStreams &p) {
       p.program().add_run_state()->set_name("weather");
       *p.program().mutable_run_state(0)->mutable_view() = p.total;
     },
     "run state weather: unknown"},
    {"WrongGlobalBatch",
     [](TwoStreams &p) { p.builder.plan.mutable_training()->set_global_batch(3); },
     "global_batch is 3"},
};

INSTANTIATE_TEST_SUITE_P(All, DamageTest, testing::ValuesIn(kDamages),
                         [](const auto &info) { return std::string(info.param.name); });

TEST(CheckerTest, TransientDoesNotOutliveItsCall) {
  PlanBuilder p;
  planpb::View a = p.buffer("a", planpb::TRANSIENT, kF64, {8});
  planpb::View b = p.buffer("b", planpb::STEP, kF64, {8});
  uint32_t first = p.segment("first");
  p.launch("fill", {}, {a});
  uint32_t second = p.segment("second");
  p.launch("copy", {a}, {b});
  p.call(first);
  p.call(second);
  EXPECT_THAT(checkPlan(p.plan), Contains(HasSubstr("never written in this segment call")));
  p.program().mutable_buffers(0)->set_lifetime(planpb::STEP);
  EXPECT_THAT(checkPlan(p.plan), IsEmpty());
}

/// A gradient lies where an activation died, and a value of the update where the gradient did.
TEST(CheckerTest, BuffersOfTheStepShareBytesAcrossSegments) {
  PlanBuilder p;
  planpb::View x = p.buffer("x", planpb::TRANSIENT, kF64, {8});
  planpb::View gradient = p.buffer("gradient", planpb::STEP, kF64, {8});
  planpb::View y = p.buffer("y", planpb::TRANSIENT, kF64, {8});
  planpb::View result = p.buffer("result", planpb::PERSISTENT, kF64, {8});
  for (int shared : {1, 2})
    p.program().mutable_buffers(shared)->set_offset(p.program().buffers(0).offset());
  uint32_t backward = p.segment("backward");
  p.launch("fill", {}, {x});
  p.launch("copy", {x}, {result});
  p.launch("fill", {}, {gradient});
  uint32_t update = p.segment("update");
  p.launch("copy", {gradient}, {result});
  p.launch("fill", {}, {y});
  p.call(backward);
  p.call(update);
  EXPECT_THAT(checkPlan(p.plan), IsEmpty());
  p.call(update); // finds y where the gradient was
  EXPECT_THAT(checkPlan(p.plan),
              ElementsAre(AllOf(HasSubstr("schedule entry 2"), HasSubstr("reads buffer gradient"),
                                HasSubstr("they hold buffer y"))));
}

TEST(CheckerTest, SlotsAreApart) {
  PlanBuilder p;
  p.plan.mutable_training()->set_accumulation(2);
  p.plan.mutable_training()->set_global_batch(2);
  planpb::View a = p.buffer("a", planpb::SLOT, kF64, {8});
  planpb::View b = p.buffer("b", planpb::STEP, kF64, {8});
  p.program().mutable_buffers(0)->set_slot_stride(128);
  p.program().mutable_buffers(0)->set_offset(0);
  p.program().mutable_buffers(1)->set_offset(64); // between the slots of a
  p.program().mutable_arenas(0)->set_bytes(192);
  uint32_t write = p.segment("write");
  p.launch("fill", {}, {a});
  uint32_t read = p.segment("read");
  p.launch("copy", {a}, {b});
  for (uint32_t slot : {0, 1})
    p.call(write, slot, slot);
  for (uint32_t slot : {0, 1})
    p.call(read, slot, slot);
  EXPECT_THAT(checkPlan(p.plan), IsEmpty());
  p.program().mutable_buffers(1)->set_offset(128);
  EXPECT_THAT(checkPlan(p.plan), Contains(HasSubstr("share bytes 128 to 192")));
  p.program().mutable_buffers(1)->set_offset(64);
  p.program().mutable_schedule(1)->set_slot(0); // slot 1 is read, never written
  EXPECT_THAT(checkPlan(p.plan), Contains(HasSubstr("never written")));
}

TEST(CheckerTest, ManyFaultsAreCounted) {
  TwoStreams plan;
  for (int i = 0; i < 40; ++i)
    plan.builder.launch("fill", {}, {plan.a}, 9);
  std::vector<std::string> faults = plan.faults();
  EXPECT_EQ(faults.size(), 21u);
  EXPECT_THAT(faults.back(), HasSubstr("and 20 more faults"));
}

/// No content may crash the checker: fields of a sound plan are replaced by arbitrary numbers.
TEST(CheckerTest, AnyBytesAreSurvived) {
  TwoStreams plan;
  std::string good = plan.builder.plan.SerializeAsString();
  uint64_t state = 1;
  size_t parsed = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string bad = good;
    for (int change = 0; change < 3; ++change) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      bad[(state >> 33) % bad.size()] = static_cast<char>(state >> 20);
    }
    planpb::Plan result;
    if (!result.ParseFromString(bad))
      continue;
    ++parsed;
    checkPlan(result);
  }
  EXPECT_GT(parsed, 100u);
}

} // namespace
