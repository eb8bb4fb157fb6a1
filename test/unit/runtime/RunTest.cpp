//===- RunTest.cpp - ds-run as its users start it ---------------------------------------------===//

#include "runtime/checkpoint/SafeTensors.h"
#include "runtime/kernels/CpuLevel.h"
#include "runtime/plan/PlanFile.h"
#include "test/unit/runtime/PlanBuilder.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <csignal>
#include <sstream>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

using namespace deepshard;
using namespace deepshard::runtime;
using namespace deepshard::runtime::test;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

namespace {

struct Outcome {
  int code = -1;
  std::string output; // of both streams
};

struct RunTest : testing::Test {
  TemporaryDirectory directory;
  planpb::Plan plan;
  std::string planPath = directory.path("p.dsplan");
  std::string data;

  RunTest() {
    std::vector<double> x, y;
    for (int i = 0; i < 40; ++i)
      x.push_back(std::sin(i));
    for (int i = 0; i < 20; ++i)
      y.push_back(std::cos(i));
    writeFile(directory.path("x.bin"), bytesOf(x));
    writeFile(directory.path("y.bin"), bytesOf(y));
    writeFile(directory.path("w"), bytesOf(std::vector<double>{0.5, -0.5}));
    plan = linearRegression(directory.path("w"), 2, 2, 3, 0.1);
    data = fmt::format("--data x={0}:float64 --data y={1}:float64", directory.path("x.bin"),
                       directory.path("y.bin"));
    writePlan(plan, planPath);
  }

  /// Starts ds-run; `before` are shell commands that come first.
  pid_t start(const std::string &arguments, const std::string &before = "") {
    std::string command = fmt::format("{} exec '{}' {} > '{}' 2>&1", before, DS_RUN, arguments,
                                      directory.path("out"));
    pid_t child = ::fork();
    if (child == 0) {
      ::execl("/bin/bash", "bash", "-c", command.c_str(), nullptr);
      ::_exit(127);
    }
    return child;
  }

  Outcome finish(pid_t child) {
    int status = 0;
    ::waitpid(child, &status, 0);
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return {code, readFile(directory.path("out"))};
  }

  Outcome run(const std::string &arguments, const std::string &before = "") {
    return finish(start(arguments, before));
  }

  std::vector<nlohmann::json> metrics() {
    std::istringstream lines(readFile(directory.path("m.jsonl")));
    std::vector<nlohmann::json> result;
    for (std::string line; std::getline(lines, line);)
      result.push_back(nlohmann::json::parse(line));
    return result;
  }
};

TEST_F(RunTest, TrainsAndSaves) {
  Outcome outcome =
      run(fmt::format("{} {} --steps 5 --metrics {} --save-weights {}", planPath, data,
                      directory.path("m.jsonl"), directory.path("o.safetensors")));
  EXPECT_EQ(outcome.code, 0) << outcome.output;
  EXPECT_THAT(outcome.output, HasSubstr("step 5/5 | loss"));
  ASSERT_EQ(metrics().size(), 5u);
  EXPECT_EQ(metrics()[4]["samples"], 30);
  EXPECT_EQ(metrics()[4]["planned_bytes"], plan.programs(0).arenas(0).bytes());
  SafeTensorsFile saved(directory.path("o.safetensors"));
  EXPECT_NE(saved.find("weight"), nullptr);
  EXPECT_NE(saved.find("tied.weight"), nullptr);
}

TEST_F(RunTest, ProfileSaysWhereTheTimeGoes) {
  Outcome outcome = run(fmt::format("{} {} --steps 3 --profile", planPath, data));
  EXPECT_EQ(outcome.code, 0) << outcome.output;
  EXPECT_THAT(outcome.output,
              AllOf(HasSubstr("step 3/3 | loss"),
                    HasSubstr("(mean of 2, without the first); peaks"),
                    HasSubstr("matmul, reference: 2x2, 2 -> 2"), HasSubstr("% of the time")));
  outcome = run(fmt::format("{} {} --steps 1 --profile", planPath, data));
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.output, HasSubstr("run at least 2"));
}

TEST_F(RunTest, CheckPrintsWhatThePlanHolds) {
  Outcome outcome = run(planPath + " --check");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.output,
              AllOf(HasSubstr("sound"), HasSubstr("global batch 6 = 3 micro-batches of 2"),
                    HasSubstr("input x: f64 of shape 2x2"),
                    HasSubstr("program train: 3 segments")));
  plan.mutable_programs(0)->mutable_buffers(0)->set_offset(1);
  writePlan(plan, planPath);
  outcome = run(planPath + " --check");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.output, AllOf(HasSubstr("not sound"), HasSubstr("buffer weight: offset 1")));
}

TEST_F(RunTest, TraceShowsEveryTask) {
  std::string trace = directory.path("t.json");
  Outcome outcome = run(fmt::format("{} {} --steps 2 --trace {}", planPath, data, trace));
  EXPECT_EQ(outcome.code, 0) << outcome.output;
  nlohmann::json events = nlohmann::json::parse(readFile(trace));
  size_t tasks = 2 + 3 * 8 + 5; // start, three micro-batches, update
  ASSERT_EQ(events.size(), 2 + 2 * tasks);
  EXPECT_EQ(events[0]["args"]["name"], "rank 0");
  EXPECT_EQ(events[1]["args"]["name"], "compute");
  double end = 0;
  for (size_t i = 2; i < events.size(); ++i) { // one stream: in order, none over another
    EXPECT_GE(events[i]["ts"].get<double>(), end);
    end = events[i]["ts"].get<double>() + events[i]["dur"].get<double>() * 0.999;
    EXPECT_EQ(events[i]["args"]["step"], i < 2 + tasks ? 1 : 2);
  }
  EXPECT_EQ(events[4]["name"], "feed");
  EXPECT_EQ(events[6]["name"], "matmul");
}

TEST_F(RunTest, CommandLineFaults) {
  for (const char *arguments :
       {"", "--steps 3", "p --steps 0", "p", "p --steps 3 --data x", "p --steps 1 --unknown"}) {
    Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 2) << arguments << ": " << outcome.output;
  }
  EXPECT_EQ(run("--help").code, 0);
}

TEST_F(RunTest, InputFaults) {
  Outcome outcome = run(planPath + " --steps 1 --data z=file");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.output, AllOf(HasSubstr("has no input z; it has x, y"), HasSubstr("input x"),
                                    HasSubstr("input y")));
  outcome = run(fmt::format("{} {} --steps 1 --save-weights {}", planPath, data,
                            directory.path("no/o.safetensors")));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.output,
              AllOf(HasSubstr("o.safetensors: cannot be written"), Not(HasSubstr("step 1"))));
  plan.set_cpu_level("x86-64-v9");
  writePlan(plan, planPath);
  outcome = run(fmt::format("{} {} --steps 1", planPath, data));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.output, AllOf(HasSubstr("level x86-64-v9"),
                                    HasSubstr(std::string("offers ") + std::string(cpuLevel()))));
}

TEST_F(RunTest, DivergenceHasItsOwnCode) {
  plan.mutable_training()->set_learning_rate(1e200);
  writePlan(plan, planPath);
  std::string saved = directory.path("o.safetensors");
  Outcome outcome = run(fmt::format("{} {} --steps 50 --metrics {} --save-weights {}", planPath,
                                    data, directory.path("m.jsonl"), saved));
  EXPECT_EQ(outcome.code, 5);
  size_t steps = metrics().size();
  EXPECT_LT(steps, 50u);
  EXPECT_TRUE(metrics().back()["loss"].is_null());
  EXPECT_THAT(outcome.output, HasSubstr(fmt::format("error: step {}: the loss is", steps)));
  EXPECT_EQ(::access(saved.c_str(), F_OK), -1);
}

TEST_F(RunTest, FullDiskOnSave) {
  // 1,000 weights take 8 KB; the limit, in KiB, stops the file half-way as a full disk would.
  writeFile(directory.path("w"), bytesOf(std::vector<double>(1000)));
  plan = linearRegression(directory.path("w"), 1000, 2, 3, 0.1);
  writePlan(plan, planPath);
  writeFile(directory.path("x.bin"), bytesOf(std::vector<double>(20 * 1000)));
  std::string saved = directory.path("o.safetensors");
  writeFile(saved, "older");
  Outcome outcome = run(fmt::format("{} {} --steps 1 --save-weights {}", planPath, data, saved),
                        "trap '' XFSZ; ulimit -f 4;");
  EXPECT_EQ(outcome.code, 1) << outcome.output;
  EXPECT_THAT(outcome.output, HasSubstr("o.safetensors: cannot be written: File too large"));
  EXPECT_EQ(readFile(saved), "older");
  EXPECT_THAT(directory.names(),
              testing::ElementsAre("o.safetensors", "out", "p.dsplan", "w", "x.bin", "y.bin"));
}

TEST_F(RunTest, SignalFinishesTheStepAndSaves) {
  std::string saved = directory.path("o.safetensors");
  pid_t child = start(fmt::format("{} {} --steps 1000000000 --metrics {} --save-weights {}",
                                  planPath, data, directory.path("m.jsonl"), saved));
  while (readFile(directory.path("m.jsonl")).empty())
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  ::kill(child, SIGINT);
  Outcome outcome = finish(child);
  EXPECT_EQ(outcome.code, 6) << outcome.output;
  size_t steps = metrics().size();
  EXPECT_THAT(outcome.output,
              AllOf(HasSubstr(fmt::format("stopped by a signal after step {}", steps)),
                    HasSubstr(fmt::format("weights after step {} saved", steps))));
  EXPECT_EQ(SafeTensorsFile(saved).entries().size(), 1u);
}

TEST_F(RunTest, SameSeedSameBits) {
  auto losses = [&](const std::string &seed) {
    run(fmt::format("{} {} --steps 8 --seed {} --threads 2 --metrics {}", planPath, data, seed,
                    directory.path("m.jsonl")));
    std::vector<double> result;
    for (const nlohmann::json &line : metrics())
      result.push_back(line["loss"]);
    return result;
  };
  std::vector<double> first = losses("1");
  EXPECT_EQ(first.size(), 8u);
  EXPECT_EQ(first, losses("1"));
  EXPECT_NE(first, losses("2"));
}

} // namespace
