//===- LaunchTest.cpp - ranks as processes, and how they end ----------------------------------===//

#include "runtime/launch/Launch.h"

#include "runtime/comm/World.h"
#include "runtime/plan/Error.h"

#include <gmock/gmock.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <numeric>
#include <thread>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

using namespace deepshard::runtime;
using testing::HasSubstr;

namespace {

struct LaunchTest : testing::Test {
  World world{3, 1 << 20, std::chrono::seconds(60)};
  SharedJobState state;
  LaunchOptions options{1, std::chrono::milliseconds(300)};

  /// Everyone waits for everyone.
  void meet(int rank) {
    std::vector<int> members(static_cast<size_t>(world.ranks()));
    std::iota(members.begin(), members.end(), 0);
    world.communicator(rank, 0, members)->barrier();
  }

  /// Launches `body`, which must fail; returns the message.
  std::string failureOf(ExitCode code, const std::function<void(int)> &body) {
    std::string message = "no failure";
    try {
      launch(world, options, *state, body);
    } catch (const Error &error) {
      message = error.what();
      EXPECT_EQ(error.code(), code) << message;
    }
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a rank is still there";
    EXPECT_EQ(errno, ECHILD);
    return message;
  }
};

TEST_F(LaunchTest, AllRanksRun) {
  launch(world, options, *state, [&](int rank) {
    world.publish(rank, static_cast<uint64_t>(10 + rank));
    meet(rank);
    if (rank == 0)
      state->stepsDone = world.largestPublished();
  });
  EXPECT_EQ(state->stepsDone, 12u);
  EXPECT_FALSE(state->isStopRequested);
}

TEST_F(LaunchTest, AThrownErrorIsToldWithItsCode) {
  EXPECT_EQ(failureOf(ExitCode::Diverged,
                      [&](int rank) {
                        if (rank == 1)
                          throw Error("the loss is inf", ExitCode::Diverged);
                        meet(rank);
                      }),
            "rank 1: the loss is inf");
}

TEST_F(LaunchTest, OtherExceptionsAreInternalErrors) {
  EXPECT_EQ(failureOf(ExitCode::Internal,
                      [&](int rank) {
                        if (rank == 2)
                          throw std::logic_error("not so");
                        meet(rank);
                      }),
            "rank 2: internal error: not so");
}

TEST_F(LaunchTest, AnExitIsToldWithItsCode) {
  EXPECT_EQ(failureOf(ExitCode::RankFailed,
                      [&](int rank) {
                        if (rank == 2)
                          ::_exit(7);
                        meet(rank);
                      }),
            "rank 2: ended with exit code 7");
}

TEST_F(LaunchTest, ASignalIsTold) {
  EXPECT_THAT(failureOf(ExitCode::RankFailed,
                        [&](int rank) {
                          if (rank == 2)
                            ::raise(SIGKILL);
                          meet(rank);
                        }),
              HasSubstr("rank 2: was ended by signal 9"));
}

TEST_F(LaunchTest, ARankThatDoesNotNoticeIsEnded) {
  auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(failureOf(ExitCode::BadInput,
                      [&](int rank) {
                        if (rank == 0)
                          throw Error("no such file");
                        while (true)
                          ::pause();
                      }),
            "rank 0: no such file");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST_F(LaunchTest, ASignalAsksToStop) {
  pid_t self = ::getpid();
  launch(world, options, *state, [&](int rank) {
    if (rank == 1)
      ::kill(self, SIGTERM);
    while (!state->isStopRequested)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    meet(rank);
  });
  EXPECT_TRUE(state->isStopRequested);
}

TEST_F(LaunchTest, ASignalToARankAsksToStop) {
  launch(world, options, *state, [&](int rank) {
    if (rank == 2)
      ::raise(SIGINT);
    while (!state->isStopRequested)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    meet(rank);
  });
}

} // namespace
