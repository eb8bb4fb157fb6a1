//===- WorldTest.cpp - shared memory, the end of a job, ranks that hang -----------------------===//

#include "Ranks.h"

#include "runtime/plan/Error.h"

#include <algorithm>
#include <filesystem>
#include <gmock/gmock.h>
#include <limits>

using namespace deepshard::runtime;
using namespace deepshard::runtime::test;
using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

namespace {

constexpr uint64_t kWindow = 1 << 20;

/// What `call` throws: its message, and that it ends the job as a rank that failed.
template <typename Call> std::string failureOf(const Call &call) {
  try {
    call();
  } catch (const Error &error) {
    EXPECT_EQ(error.code(), ExitCode::RankFailed) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

class Ending : public OnRanks {};

TEST_P(Ending, AbortWakesTheOthersWithTheFirstReason) {
  World world(ranks(), kWindow, kPatience);
  const std::vector<int> members = everyone(ranks());
  const auto start = std::chrono::steady_clock::now();
  runRanks(backend(), ranks(), [&](int rank) {
    auto group = world.communicator(rank, 0, members);
    group->barrier();
    if (rank == 1) {
      EXPECT_FALSE(world.isAborted());
      std::this_thread::sleep_for(30ms); // the others sleep by now
      world.abort(rank, "the disk is full");
      world.abort(rank, "a later reason");
    }
    auto *data = reinterpret_cast<float *>(world.window(rank));
    EXPECT_EQ(failureOf([&] { group->allReduce(data, data, 8, DType::F32, Reduction::Sum); }),
              "the job was ended by rank 1: the disk is full");
    // And whoever comes later.
    EXPECT_THAT(failureOf([&] { group->barrier(); }), HasSubstr("the disk is full"));
    EXPECT_TRUE(world.isAborted());
  });
  EXPECT_EQ(world.abortReason(), "rank 1: the disk is full");
  EXPECT_LT(std::chrono::steady_clock::now() - start, kPatience / 3);
}

TEST_P(Ending, TheFirstOfManyReasonsIsKeptByAll) {
  World world(ranks(), kWindow, kPatience);
  runRanks(backend(), ranks(), [&](int rank) {
    world.abort(rank, std::string(5000, static_cast<char>('a' + rank)));
    const std::string first = world.abortReason();
    std::this_thread::sleep_for(5ms);
    EXPECT_EQ(world.abortReason(), first);
    // Not a mixture of several, and not longer than there is room for.
    const std::string letters = first.substr(first.find(": ") + 2);
    EXPECT_EQ(letters, std::string(2048, letters[0]));
  });
}

DEEPSHARD_ON_RANKS(Ending, 2, 3, 5);

class Hang : public OnRanks {};

TEST_P(Hang, TheTimeoutNamesTheMissingRankAndWhatItNoted) {
  World world(ranks(), kWindow, 150ms);
  const std::vector<int> members = everyone(ranks());
  runRanks(backend(), ranks(), [&](int rank) {
    auto group = world.communicator(rank, 0, members);
    world.note(rank, 41);
    group->barrier();
    if (rank == ranks() - 1)
      return; // hangs
    world.note(rank, 42);
    const std::string message = failureOf([&] { group->barrier(); });
    EXPECT_THAT(message, HasSubstr("waited 0.15 s for rank " + std::to_string(ranks() - 1) +
                                   " (last noted: collective 41)"));
    EXPECT_THAT(message, Not(HasSubstr("collective 42"))) << "names ranks that are there";
  });
  EXPECT_THAT(world.abortReason(), HasSubstr("waited 0.15 s for rank"));
}

TEST_P(Hang, AMemberThatMovesKeepsTheOthersWaiting) {
  World world(ranks(), kWindow, 150ms);
  const std::vector<int> members = everyone(ranks());
  runRanks(backend(), ranks(), [&](int rank) {
    auto group = world.communicator(rank, 0, members);
    if (rank == 0)
      for (uint32_t task = 0; task < 10; ++task) { // together longer than the timeout
        std::this_thread::sleep_for(40ms);
        world.note(rank, task);
      }
    group->barrier();
  });
  EXPECT_FALSE(world.isAborted());
}

DEEPSHARD_ON_RANKS(Hang, 2, 3);

// Rank 0 waits for rank 1, which waits for rank 2: whoever gives up first names rank 2.
TEST(Chain, TheTimeoutNamesTheRankThatOthersWaitFor) {
  World world(3, kWindow, 200ms);
  runRanks(Backend::Threads, 3, [&](int rank) {
    const int left[] = {0, 1}, right[] = {1, 2};
    world.note(rank, 10 + rank);
    if (rank == 2)
      return;
    auto group = rank == 0 ? world.communicator(0, 0, left) : world.communicator(1, 1, right);
    EXPECT_THAT(failureOf([&] { group->barrier(); }),
                HasSubstr("rank 2 (last noted: collective 12)"));
  });
}

TEST(Windows, AreAlignedZeroAndShared) {
  World world(3, kWindow + 100, kPatience);
  EXPECT_EQ(world.ranks(), 3);
  EXPECT_EQ(world.windowBytes(), kWindow + 100);
  for (int rank = 0; rank < 3; ++rank) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(world.window(rank)) % (2 << 20), 0);
    EXPECT_EQ(std::count(world.window(rank), world.window(rank) + world.windowBytes(), 0),
              static_cast<ptrdiff_t>(world.windowBytes()));
  }
  runRanks(Backend::Processes, 3, [&](int rank) {
    std::fill_n(world.window(rank), world.windowBytes(), static_cast<char>(rank + 1));
  });
  for (int rank = 0; rank < 3; ++rank)
    EXPECT_EQ(std::count(world.window(rank), world.window(rank) + world.windowBytes(), rank + 1),
              static_cast<ptrdiff_t>(world.windowBytes()));
}

TEST(Windows, MemoryOutsideIsRefused) {
  World world(1, kWindow, kPatience);
  const int members[] = {0};
  auto group = world.communicator(0, 0, members);
  char *window = world.window(0);
  std::vector<float> outside(16);
  const auto codeOf = [](const auto &call) {
    try {
      call();
    } catch (const Error &error) {
      EXPECT_THAT(error.what(), HasSubstr("not in the rank's window of 1048576 bytes"));
      return error.code();
    }
    return ExitCode::Done;
  };
  const auto reduce = [&](const void *input, void *output) {
    return codeOf([&] { group->allReduce(input, output, 16, DType::F32, Reduction::Sum); });
  };
  EXPECT_EQ(reduce(window, window + kWindow - 64), ExitCode::Done);
  EXPECT_EQ(reduce(window, window + kWindow - 63), ExitCode::Internal);
  EXPECT_EQ(reduce(window - 4, window), ExitCode::Internal);
  EXPECT_EQ(reduce(outside.data(), window), ExitCode::Internal);
  EXPECT_EQ(reduce(window, outside.data()), ExitCode::Internal);
  EXPECT_EQ(codeOf([&] {
              group->reduceScatter(outside.data(), window, 1, 16, DType::F32, Reduction::Sum);
            }),
            ExitCode::Internal);
  EXPECT_EQ(codeOf([&] { group->allGather(outside.data(), window, 1, 16, DType::F32); }),
            ExitCode::Internal);
  EXPECT_EQ(codeOf([&] { group->allToAllForward(outside.data(), window, 1, 1, 16, DType::F32); }),
            ExitCode::Internal);
  EXPECT_EQ(codeOf([&] { group->allToAllBackward(outside.data(), window, 1, 1, 16, DType::F32); }),
            ExitCode::Internal);
  EXPECT_EQ(codeOf([&] { group->permute(outside.data(), window, 16, DType::F32, members); }),
            ExitCode::Internal);
}

TEST(Windows, MoreThanTheMachineHasIsRefused) {
  EXPECT_THROW(World(2, uint64_t{1} << 45, kPatience), Error);
  EXPECT_THROW(World(4, std::numeric_limits<uint64_t>::max() / 2, kPatience), Error);
}

TEST(Windows, LeaveNoNameBehind) {
  namespace fs = std::filesystem;
  const auto names = [] {
    std::vector<std::string> found;
    if (fs::exists("/dev/shm"))
      for (const auto &entry : fs::directory_iterator("/dev/shm"))
        found.push_back(entry.path().string());
    std::sort(found.begin(), found.end());
    return found;
  };
  const std::vector<std::string> before = names();
  World world(2, kWindow, kPatience);
  runRanks(Backend::Processes, 2, [&](int rank) {
    const int members[] = {0, 1};
    auto group = world.communicator(rank, 0, members);
    group->barrier();
    EXPECT_EQ(names(), before);
  });
}

TEST(Groups, ThatCannotBeAreRefused) {
  World world(3, kWindow, kPatience);
  const auto refuses = [&](int rank, int group, std::vector<int> members) {
    EXPECT_THROW(world.communicator(rank, group, members), Error);
  };
  refuses(0, 0, {});
  refuses(0, 0, {1, 2});
  refuses(0, 0, {0, 3});
  refuses(0, 0, {0, -1});
  refuses(0, 0, {0, 1, 1});
  refuses(0, -1, {0, 1});
  refuses(0, 128, {0, 1});
  const int two[] = {0, 2};
  EXPECT_EQ(world.communicator(2, 127, two)->rank(), 1);
}

TEST(Groups, TypesThatAreNotReducedAreRefused) {
  World world(1, kWindow, kPatience);
  const int members[] = {0};
  auto group = world.communicator(0, 0, members);
  EXPECT_THROW(group->allReduce(world.window(0), world.window(0), 8, DType::I1, Reduction::Sum),
               Error);
}

TEST(Notes, OfOneRankAreSeenByAll) {
  World world(3, kWindow, kPatience);
  EXPECT_EQ(world.lastStep(), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(world.largestPublished(), 0);
  EXPECT_EQ(world.abortReason(), "");
  runRanks(Backend::Processes, 3, [&](int rank) {
    const std::vector<int> members = everyone(3);
    auto group = world.communicator(rank, 0, members);
    world.publish(rank, rank == 1 ? uint64_t{5} << 40 : 100 + rank);
    if (rank == 0)
      world.stopAfter(17);
    group->barrier();
    EXPECT_EQ(world.largestPublished(), uint64_t{5} << 40);
    EXPECT_EQ(world.lastStep(), 17);
  });
  EXPECT_EQ(world.lastStep(), 17);
}

} // namespace
