//===- Ranks.h - ranks for tests: threads or forked processes ---------------------------------===//

#ifndef DEEPSHARD_TEST_UNIT_COMM_RANKS_H
#define DEEPSHARD_TEST_UNIT_COMM_RANKS_H

#include "runtime/comm/World.h"

#include <chrono>
#include <cstdio>
#include <gtest/gtest.h>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

namespace deepshard::runtime::test {

enum class Backend { Threads, Processes };

constexpr std::chrono::milliseconds kPatience{30'000};

/// Runs `body(rank)` on every rank at once. Exceptions and failed expectations of any rank fail the
/// test. Rank threads and processes end before this returns.
template <typename Body> void runRanks(Backend backend, int ranks, const Body &body) {
  const auto guarded = [&](int rank) {
    try {
      body(rank);
    } catch (const std::exception &error) {
      ADD_FAILURE() << "rank " << rank << " threw: " << error.what();
    }
  };
  if (backend == Backend::Threads) {
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < ranks; ++rank)
      threads.emplace_back(guarded, rank);
    return;
  }
  std::fflush(nullptr);
  std::vector<pid_t> children;
  for (int rank = 0; rank < ranks; ++rank) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      guarded(rank);
      std::fflush(nullptr);
      ::_exit(::testing::Test::HasFailure() ? 1 : 0);
    }
    children.push_back(child);
  }
  for (int rank = 0; rank < ranks; ++rank) {
    int status = 0;
    ASSERT_EQ(::waitpid(children[rank], &status, 0), children[rank]);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "rank " << rank << " failed";
  }
}

/// 0, 1, ..., ranks - 1.
inline std::vector<int> everyone(int ranks) {
  std::vector<int> members(ranks);
  std::iota(members.begin(), members.end(), 0);
  return members;
}

/// Now and then a pause: none, a busy one, a short sleep.
class Delays {
public:
  explicit Delays(unsigned seed) : random(seed) {}

  void maybe() {
    const unsigned draw = random() % 16;
    if (draw == 0)
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
    else if (draw < 3)
      std::this_thread::yield();
    else if (draw < 6)
      random.discard(random() % 2000);
  }

private:
  std::mt19937 random;
};

/// Tests that run on both backends and on groups of several sizes.
class OnRanks : public ::testing::TestWithParam<std::tuple<Backend, int>> {
public:
  static Backend backend() { return std::get<0>(GetParam()); }
  static int ranks() { return std::get<1>(GetParam()); }
  static std::string name(const ::testing::TestParamInfo<ParamType> &info) {
    return (std::get<0>(info.param) == Backend::Threads ? "Threads" : "Processes") +
           std::to_string(std::get<1>(info.param));
  }
};

#define DEEPSHARD_ON_RANKS(suite, ...)                                                             \
  INSTANTIATE_TEST_SUITE_P(                                                                        \
      Each, suite,                                                                                 \
      ::testing::Combine(::testing::Values(Backend::Threads, Backend::Processes),                  \
                         ::testing::Values(__VA_ARGS__)),                                          \
      suite::name)

} // namespace deepshard::runtime::test

#endif // DEEPSHARD_TEST_UNIT_COMM_RANKS_H
