//===- JobTest.cpp - ds-run with plans for several ranks
//----------------------------------------===//

#include "runtime/checkpoint/SafeTensors.h"
#include "runtime/plan/PlanFile.h"
#include "test/unit/executor/RankTraining.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <fstream>
#include <sstream>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

using namespace deepshard;
using namespace deepshard::runtime;
using namespace deepshard::runtime::test;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

namespace {

struct Ended {
  int code = -1; // 128 + signal if it died
  std::string output;
};

struct JobTest : testing::Test {
  TemporaryDirectory directory;
  ExecutorOptions options = writeData(directory, 8, 29);
  std::string planPath = directory.path("p.dsplan");
  std::string data;
  planpb::Plan plan;

  JobTest() {
    data = fmt::format("--no-shuffle --data x={0}:float64 --data y={1}:float64",
                       directory.path("x.bin"), directory.path("y.bin"));
    use({.zero = Zero::Update, .ranks = 2});
  }

  /// Takes the plan of a regression. Its features other than 8 need data of their own.
  void use(const Regression &regression) {
    writeFile(directory.path("w"), bytesOf(std::vector<double>(regression.features, 0.1)));
    plan = planOf(regression, directory.path("w"));
    writePlan(plan, planPath);
  }

  /// Starts ds-run in a process group of its own.
  pid_t start(const std::string &arguments, const std::string &before = "") {
    std::string command = fmt::format("{} exec '{}' {} > '{}' 2>&1", before, DS_RUN, arguments,
                                      directory.path("out"));
    pid_t child = ::fork();
    if (child == 0) {
      ::setpgid(0, 0);
      ::execl("/bin/bash", "bash", "-c", command.c_str(), nullptr);
      ::_exit(127);
    }
    ::setpgid(child, child);
    return child;
  }

  Ended finish(pid_t child) {
    int status = 0;
    ::waitpid(child, &status, 0);
    // All ranks are in the group; a killed one may need a moment.
    for (int i = 0; i < 500 && ::kill(-child, 0) == 0; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_NE(::kill(-child, 0), 0) << "a process is still there";
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return {code, readFile(directory.path("out"))};
  }

  /// Starts a run without end and waits until it has done some steps.
  pid_t startLong(const std::string &more = "") {
    pid_t child = start(fmt::format("{} {} --steps 1000000000 --metrics {} {}", planPath, data,
                                    directory.path("m.jsonl"), more));
    while (metrics().size() < 3)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return child;
  }

  std::vector<nlohmann::json> metrics() {
    std::istringstream lines(readFile(directory.path("m.jsonl")));
    std::vector<nlohmann::json> result;
    for (std::string line; std::getline(lines, line) && !lines.eof();)
      result.push_back(nlohmann::json::parse(line));
    return result;
  }

  /// The processes of the ranks, in their order.
  static std::vector<pid_t> ranksOf(pid_t launcher) {
    std::ifstream file(fmt::format("/proc/{0}/task/{0}/children", launcher));
    std::vector<pid_t> ranks;
    for (pid_t rank = 0; file >> rank;)
      ranks.push_back(rank);
    return ranks;
  }
};

TEST_F(JobTest, ProcessesGiveTheBitsOfThreads) {
  for (uint32_t ranks : {2, 4})
    for (Zero zero : {Zero::Nothing, Zero::Update, Zero::Parameters}) {
      use({.zero = zero, .ranks = ranks});
      Outcome threads = runOnThreads(plan, options, 6, directory.path("threads.safetensors"));
      Ended ended = finish(
          start(fmt::format("{} -n {} {} --steps 6 --metrics {} --save-weights {}", planPath, ranks,
                            data, directory.path("m.jsonl"), directory.path("o.safetensors"))));
      ASSERT_EQ(ended.code, 0) << ended.output;
      EXPECT_THAT(ended.output,
                  AllOf(HasSubstr("step 6/6 | loss"), HasSubstr("weights after step 6 saved"),
                        HasSubstr(fmt::format("{} ranks with 1 threads", ranks))));
      EXPECT_EQ(readFile(directory.path("o.safetensors")), threads.weights);
      ASSERT_EQ(metrics().size(), 6u);
      for (size_t i = 0; i < 6; ++i)
        EXPECT_EQ(metrics()[i]["loss"], threads.losses[0][i]);
      EXPECT_EQ(metrics()[5]["samples"], plan.training().global_batch() * 6);
      EXPECT_GT(metrics()[5]["peak_bytes"], 1 << 20);
      EXPECT_EQ(metrics()[5]["planned_bytes"],
                plan.programs(0).arenas(0).bytes() + plan.programs(0).arenas(1).bytes());
    }
}

TEST_F(JobTest, WrongNumberOfRanks) {
  Ended ended = finish(start(fmt::format("{} -n 4 {} --steps 1", planPath, data)));
  EXPECT_EQ(ended.code, 2);
  EXPECT_THAT(ended.output, HasSubstr("is a plan for 2 ranks; leave -n out"));
}

TEST_F(JobTest, CheckTellsMeshBucketsAndTraffic) {
  use({.zero = Zero::Parameters, .ranks = 4, .features = 1 << 20});
  Ended ended = finish(start(planPath + " --check"));
  EXPECT_EQ(ended.code, 0);
  // 8 MiB of weights, gathered in each of 3 micro-batches, (4 - 1) / 4 of it from others.
  EXPECT_THAT(
      ended.output,
      AllOf(HasSubstr("4 ranks, global batch 24 = 3 micro-batches of 2 a rank\n"),
            HasSubstr("mesh: data = 4\n"), HasSubstr("arena 1 (window): 18.00"),
            HasSubstr("1 buckets of kind parameter: 2.000 MiB of 8.000 MiB, cut over data\n"),
            HasSubstr("all_gather over data (4 ranks): 3 a step, a rank sends 18.000 MiB\n"),
            HasSubstr("reduce_scatter over data (4 ranks): 1 a step, a rank sends 6.000 MiB")));
}

TEST_F(JobTest, TraceHasAllRanks) {
  std::string trace = directory.path("t.json");
  Ended ended = finish(start(fmt::format("{} {} --steps 2 --trace {}", planPath, data, trace)));
  ASSERT_EQ(ended.code, 0) << ended.output;
  nlohmann::json events = nlohmann::json::parse(readFile(trace));
  std::map<std::pair<int, std::string>, int> collectives;
  for (const nlohmann::json &event : events)
    if (event["ph"] == "X" && event["tid"] == 1)
      ++collectives[{event["pid"], event["name"]}];
  for (int rank : {0, 1})
    for (const char *kind : {"all_reduce", "reduce_scatter", "all_gather"})
      EXPECT_EQ((collectives[{rank, kind}]), 2) << rank << kind;
}

TEST_F(JobTest, SignalsFinishTheStepAndSave) {
  for (bool toGroup : {false, true})
    for (int signal : {SIGINT, SIGTERM}) {
      std::string saved = directory.path("o.safetensors");
      pid_t child = startLong("--save-weights " + saved);
      ::kill(toGroup ? -child : child, signal);
      Ended ended = finish(child);
      EXPECT_EQ(ended.code, 6) << ended.output;
      size_t steps = metrics().size();
      EXPECT_THAT(ended.output,
                  AllOf(HasSubstr(fmt::format("stopped by a signal after step {}", steps)),
                        HasSubstr(fmt::format("weights after step {} saved", steps))));
      // What was saved is what that many steps give.
      Outcome threads = runOnThreads(plan, options, static_cast<int>(steps),
                                     directory.path("threads.safetensors"));
      EXPECT_EQ(readFile(saved), threads.weights);
      std::filesystem::remove(directory.path("m.jsonl"));
    }
}

TEST_F(JobTest, ASecondSignalEndsAtOnce) {
  pid_t child = startLong();
  // A rank that stands still keeps the step from ending.
  ::kill(ranksOf(child).at(1), SIGSTOP);
  ::kill(child, SIGINT);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  ::kill(child, SIGINT);
  EXPECT_EQ(finish(child).code, 128 + SIGINT);
}

TEST_F(JobTest, AKilledRankIsNamed) {
  pid_t child = startLong("--save-weights " + directory.path("o.safetensors"));
  ::kill(ranksOf(child).at(1), SIGKILL);
  Ended ended = finish(child);
  EXPECT_EQ(ended.code, 3);
  EXPECT_THAT(ended.output, HasSubstr("ds-run: error: rank 1: was ended by signal 9"));
  EXPECT_THAT(directory.names(), Not(testing::Contains(HasSubstr("safetensors"))));
}

TEST_F(JobTest, AStandingRankIsNamedWithItsTask) {
  pid_t child = startLong("--timeout 1");
  pid_t rank = ranksOf(child).at(1);
  ::kill(rank, SIGSTOP);
  Ended ended = finish(child);
  EXPECT_EQ(ended.code, 3);
  EXPECT_THAT(ended.output,
              AllOf(HasSubstr("rank 0: waited 1 s for rank 1"), HasSubstr("of segment update: ")));
}

TEST_F(JobTest, RanksDieWithTheLauncher) {
  pid_t child = startLong();
  ::kill(child, SIGKILL);
  EXPECT_EQ(finish(child).code, 128 + SIGKILL); // which looks for processes that stay
}

TEST_F(JobTest, FaultsOfOneRankKeepTheirCode) {
  plan.mutable_training()->set_learning_rate(1e200);
  writePlan(plan, planPath);
  Ended ended = finish(start(fmt::format("{} {} --steps 50", planPath, data)));
  EXPECT_EQ(ended.code, 5);
  EXPECT_THAT(ended.output, HasSubstr("error: rank 0: step"));
  ended = finish(start(fmt::format("{} --steps 5 --data x={}", planPath, directory.path("w"))));
  EXPECT_EQ(ended.code, 1);
  EXPECT_THAT(ended.output, HasSubstr("input y"));
}

TEST_F(JobTest, FullDiskOnSave) {
  // 4,096 weights take 32 KB; the limit, in KiB, stops the file half-way as a full disk would.
  constexpr uint32_t kFeatures = 4096;
  writeData(directory, kFeatures, 24);
  use({.zero = Zero::Parameters, .features = kFeatures});
  std::string saved = directory.path("o.safetensors");
  writeFile(saved, "older");
  Ended ended =
      finish(start(fmt::format("{} {} --steps 1 --save-weights {}", planPath, data, saved),
                   "trap '' XFSZ; ulimit -f 24;"));
  EXPECT_EQ(ended.code, 1) << ended.output;
  EXPECT_THAT(ended.output, HasSubstr("rank 1: " + saved + ": cannot be written: File too large"));
  EXPECT_EQ(readFile(saved), "older");
  EXPECT_THAT(directory.names(), Not(testing::Contains(HasSubstr(".part"))));
}

} // namespace
