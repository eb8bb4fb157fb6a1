//===- PlanFileTest.cpp - plans on disk -------------------------------------------------------===//

#include "runtime/plan/PlanFile.h"

#include "runtime/plan/Error.h"
#include "test/unit/runtime/PlanBuilder.h"

#include <sys/resource.h>

#include <csignal>

using namespace deepshard;
using namespace deepshard::runtime;
using namespace deepshard::runtime::test;
using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

/// A plan with something in most kinds of fields.
planpb::Plan somePlan() {
  PlanBuilder b;
  b.plan.set_producer("test");
  planpb::View a = b.buffer("a", planpb::STEP, planpb::F64, {3, 5});
  planpb::View c = b.constant("c", 0.5);
  b.segment("only");
  planpb::Task &task = b.launch("mul", {repeat(c, {3, 5})}, {a});
  for (const char *name : {"one", "two", "three", "four", "five"})
    (*task.mutable_launch()->mutable_attributes())[name].set_number(1.5);
  b.call(0);
  return b.plan;
}

struct PlanFileTest : testing::Test {
  TemporaryDirectory directory;
  std::string path = directory.path("a.dsplan");

  std::string readMessage() {
    return messageOf([&] { readPlan(path); });
  }
};

TEST_F(PlanFileTest, RoundTrip) {
  planpb::Plan plan = somePlan();
  writePlan(plan, path);
  planpb::Plan again = readPlan(path);
  EXPECT_EQ(again.format_version(), kPlanFormatVersion);
  plan.set_format_version(kPlanFormatVersion);
  writePlan(again, directory.path("b.dsplan"));
  EXPECT_EQ(readFile(path), readFile(directory.path("b.dsplan")));
  EXPECT_EQ(again.programs(0).buffers(0).name(), "a");
  EXPECT_EQ(again.ByteSizeLong(), plan.ByteSizeLong());
  EXPECT_THAT(directory.names(), ElementsAre("a.dsplan", "b.dsplan"));
}

TEST_F(PlanFileTest, EveryFlippedBitIsFound) {
  writePlan(somePlan(), path);
  std::string good = readFile(path);
  for (size_t i = 0; i < good.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ 1 << bit);
      writeFile(path, bad);
      ASSERT_THAT(readMessage(), AnyOf(HasSubstr("is not a plan"), HasSubstr("format version"),
                                       HasSubstr("truncated"), HasSubstr("damaged")))
          << "byte " << i << " bit " << bit;
    }
  }
}

TEST_F(PlanFileTest, EveryTruncationIsFound) {
  writePlan(somePlan(), path);
  std::string good = readFile(path);
  for (size_t length = 1; length < good.size(); ++length) {
    writeFile(path, good.substr(0, length));
    ASSERT_THAT(readMessage(), HasSubstr("truncated")) << length;
  }
  writeFile(path, "");
  EXPECT_THAT(readMessage(), HasSubstr("is not a plan"));
  writeFile(path, good + "x");
  EXPECT_THAT(readMessage(), HasSubstr("damaged"));
}

TEST_F(PlanFileTest, MessagesNameFileAndCause) {
  EXPECT_THAT(readMessage(), HasSubstr(path + ": cannot be opened"));
  writeFile(path, "PK\x03\x04 an archive, not a plan, long enough for a header");
  EXPECT_THAT(readMessage(), HasSubstr(path + ": is not a plan"));
  writePlan(somePlan(), path);
  std::string newer = readFile(path);
  newer[8] = 9;
  writeFile(path, newer);
  EXPECT_THAT(readMessage(), HasSubstr("format version 9"));
  EXPECT_THAT(messageOf([&] { readPlan(directory.path(".")); }), HasSubstr("not a regular file"));
}

TEST_F(PlanFileTest, FullDiskLeavesTheOldPlan) {
  writePlan(somePlan(), path);
  std::string before = readFile(path);
  // A file-size limit makes write() fail half-way, as a full disk does.
  auto ignored = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old = {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  rlimit small = {100, old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  std::string message = messageOf([&] { writePlan(somePlan(), path); });
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
  std::signal(SIGXFSZ, ignored);
  EXPECT_THAT(message, HasSubstr(path + ": cannot be written"));
  EXPECT_EQ(readFile(path), before);
  EXPECT_THAT(directory.names(), ElementsAre("a.dsplan"));
}

TEST_F(PlanFileTest, MissingDirectory) {
  std::string message =
      messageOf([&] { writePlan(somePlan(), directory.path("missing/a.dsplan")); });
  EXPECT_THAT(message, HasSubstr("cannot be written: No such file"));
}

} // namespace
