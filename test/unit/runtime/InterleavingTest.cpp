//===- InterleavingTest.cpp - the checker against running every interleaving
//-----------------------===//

#include "runtime/plan/Checker.h"

#include "test/unit/runtime/Explorer.h"
#include "test/unit/runtime/PlanGenerator.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>

#include <map>

using namespace deepshard;
using namespace deepshard::runtime;
using namespace deepshard::runtime::test;

namespace {

/// The tasks of all programs, one a line, to understand a failure.
std::string textOf(const GeneratedPlan &generated) {
  std::string text = fmt::format("ranks run {}\n", fmt::join(generated.programOf, ", "));
  auto viewText = [](const planpb::Program &program, const planpb::View &view) {
    const planpb::Buffer &buffer = program.buffers(static_cast<int>(view.buffer()));
    return fmt::format(" {}[{} arena {} at {}]+{}x{}{}", buffer.name(), int(buffer.lifetime()),
                       buffer.arena(), buffer.offset(), view.offset(), view.shape(0),
                       view.axis_strides_size() > 0 ? " own" : "");
  };
  for (const planpb::Program &program : generated.plan.programs()) {
    text += fmt::format("program {}, {} calls\n", program.name(), program.schedule_size());
    const planpb::Segment &segment = program.segments(0);
    for (int i = 0; i < segment.tasks_size(); ++i) {
      const planpb::Task &task = segment.tasks(i);
      text += fmt::format("  stream {} {}", task.stream(), describeTask(segment, i));
      if (task.kind_case() == planpb::Task::kRecord || task.kind_case() == planpb::Task::kWait)
        text += fmt::format(" {}", task.record() + task.wait());
      for (const planpb::View &view : task.launch().inputs())
        text += viewText(program, view);
      text += " ->";
      for (const planpb::View &view : task.launch().outputs())
        text += viewText(program, view);
      if (task.has_collective())
        text += fmt::format("{} ->{} #{}", viewText(program, task.collective().input()),
                            viewText(program, task.collective().output()),
                            task.collective().sequence());
      text += "\n";
    }
  }
  return text;
}

/// Few plans have more, and these would take most of the time.
constexpr size_t kMostStates = 20000;

struct Counts {
  std::map<Finding, size_t> findings;
  size_t states = 0;
};

/// Whether checker and explorer agree; counts what the explorer found.
testing::AssertionResult agree(const GeneratedPlan &generated, Counts &counts) {
  Exploration exploration = explore(generated.plan, generated.programOf, kMostStates);
  counts.states += exploration.states;
  ++counts.findings[exploration.finding];
  std::vector<std::string> faults = checkPlan(generated.plan, generated.programOf);
  if (exploration.finding == Finding::TooLarge ||
      faults.empty() == (exploration.finding == Finding::Sound))
    return testing::AssertionSuccess();
  return testing::AssertionFailure()
         << "explorer: " << int(exploration.finding) << " " << exploration.what
         << "\nchecker: " << fmt::format("{}", fmt::join(faults, "\n")) << "\n"
         << textOf(generated);
}

TEST(InterleavingTest, GeneratedPlansAreSound) {
  Counts counts;
  for (uint32_t seed = 0; seed < 500; ++seed) {
    std::mt19937 random(seed);
    GeneratedPlan generated = randomPlan(random);
    ASSERT_TRUE(agree(generated, counts)) << "seed " << seed;
  }
  EXPECT_EQ(counts.findings[Finding::Sound] + counts.findings[Finding::TooLarge], 500u);
}

TEST(InterleavingTest, MutantsAreRefusedIfTheyFailAndOnlyThen) {
  constexpr size_t kMutants = 4000;
  Counts counts;
  size_t mutants = 0;
  for (uint32_t seed = 0; mutants < kMutants; ++seed) {
    std::mt19937 random(seed);
    GeneratedPlan sound = randomPlan(random);
    for (int i = 0; i < 8; ++i) {
      GeneratedPlan mutant = sound;
      std::string what;
      for (int change = 0; change <= i / 6; ++change) // most have one change
        what += mutate(mutant, random) + "; ";
      if (what == "; ")
        continue;
      ASSERT_TRUE(agree(mutant, counts)) << "seed " << seed << ", " << what;
      ++mutants;
    }
  }
  std::map<Finding, size_t> &findings = counts.findings;
  RecordProperty("states", static_cast<int>(counts.states));
  // Every kind of fault is met, and so is soundness, often enough to mean something.
  EXPECT_GT(findings[Finding::Sound], kMutants / 5);
  for (Finding fault : {Finding::Race, Finding::Value, Finding::Overlap, Finding::Mismatch,
                        Finding::Deadlock, Finding::Rule})
    EXPECT_GT(findings[fault], kMutants / 200) << int(fault);
  EXPECT_LT(findings[Finding::TooLarge], kMutants / 50);
}

} // namespace
