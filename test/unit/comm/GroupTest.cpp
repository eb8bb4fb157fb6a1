//===- GroupTest.cpp - groups beside one another, collectives after one another ---------------===//

#include "Oracle.h"
#include "Ranks.h"

#include <atomic>

using namespace deepshard::runtime;
using namespace deepshard::runtime::test;

namespace {

constexpr uint64_t kWindow = 4 << 20;

/// Ranks as a grid of `rows` x `columns`, the last fastest.
struct Grid {
  int rows, columns;

  int ranks() const { return rows * columns; }
  std::vector<int> rowOf(int rank) const {
    std::vector<int> members(columns);
    std::iota(members.begin(), members.end(), rank / columns * columns);
    return members;
  }
  std::vector<int> columnOf(int rank) const {
    std::vector<int> members;
    for (int row = 0; row < rows; ++row)
      members.push_back(row * columns + rank % columns);
    return members;
  }
};

class Groups : public ::testing::TestWithParam<std::tuple<Backend, std::pair<int, int>>> {
public:
  static Backend backend() { return std::get<0>(GetParam()); }
  static Grid grid() { return {std::get<1>(GetParam()).first, std::get<1>(GetParam()).second}; }
  static std::string name(const ::testing::TestParamInfo<ParamType> &info) {
    return (std::get<0>(info.param) == Backend::Threads ? "Threads" : "Processes") +
           std::to_string(std::get<1>(info.param).first) + "x" +
           std::to_string(std::get<1>(info.param).second);
  }
};

/// A random collective of a group with random sizes, checked; `random` draws the same on all ranks.
void checkRandom(World &world, Communicator &group, const std::vector<int> &members,
                 std::mt19937 &random, unsigned salt) {
  const int rank = members[group.rank()], self = group.rank(), size = group.size();
  const int kind = static_cast<int>(random() % 5);
  const int64_t count = 1 + random() % 300;
  auto *input = reinterpret_cast<float *>(world.window(rank));
  float *output = input + 8192;
  const auto fill = [&](int64_t elements) {
    const std::vector<float> own = inputs<float>(rank, elements, salt);
    std::copy(own.begin(), own.end(), input);
  };
  std::vector<float> expected;
  if (kind == 0) {
    fill(count);
    group.allReduce(input, output, count, DType::F32, Reduction::Sum);
    for (int64_t i = 0; i < count; ++i)
      expected.push_back(reduced<float>(Reduction::Sum, members, i, salt));
  } else if (kind == 1) {
    fill(count * size);
    group.reduceScatter(input, output, 1, count, DType::F32, Reduction::Sum);
    for (int64_t i = 0; i < count; ++i)
      expected.push_back(reduced<float>(Reduction::Sum, members, self * count + i, salt));
  } else if (kind == 2) {
    fill(count);
    group.allGather(input, output, 1, count, DType::F32);
    for (int member : members)
      for (int64_t i = 0; i < count; ++i)
        expected.push_back(inputOf<float>(member, i, salt));
  } else if (kind == 3) {
    fill(count * size);
    group.allToAllForward(input, output, 1, 1, count, DType::F32);
    for (int member : members)
      for (int64_t i = 0; i < count; ++i)
        expected.push_back(inputOf<float>(member, self * count + i, salt));
  } else {
    group.barrier();
  }
  EXPECT_EQ(differences(output, expected), 0)
      << "collective " << kind << ", number " << salt << ", " << count << " elements";
  // Who may overwrite its memory does so at once: a late reader would see it.
  if (kind != 4)
    std::fill_n(input, count, -1.0f);
}

TEST_P(Groups, BothAxesAndAllRanksBackToBackWithDelays) {
  World world(grid().ranks(), kWindow, kPatience);
  runRanks(backend(), grid().ranks(), [&](int rank) {
    const std::vector<int> members[] = {everyone(grid().ranks()), grid().rowOf(rank),
                                        grid().columnOf(rank)};
    std::unique_ptr<Communicator> groups[3];
    for (int group = 0; group < 3; ++group)
      groups[group] = world.communicator(rank, group, members[group]);
    std::mt19937 random(7); // the same draws on every rank
    Delays delays(rank);
    for (unsigned number = 0; number < 400; ++number) {
      const unsigned group = random() % 3;
      delays.maybe();
      world.note(rank, number);
      checkRandom(world, *groups[group], members[group], random, number);
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Each, Groups,
                         ::testing::Combine(::testing::Values(Backend::Threads, Backend::Processes),
                                            ::testing::Values(std::pair{1, 2}, std::pair{2, 2},
                                                              std::pair{2, 3}, std::pair{1, 5},
                                                              std::pair{2, 4})),
                         Groups::name);

class Order : public OnRanks {};

TEST_P(Order, MembersCountInTheOrderGiven) {
  World world(ranks(), kWindow, kPatience);
  std::vector<int> members = everyone(ranks());
  std::reverse(members.begin(), members.end());
  runRanks(backend(), ranks(), [&](int rank) {
    auto group = world.communicator(rank, 0, members);
    ASSERT_EQ(members[group->rank()], rank);
    auto *data = reinterpret_cast<int32_t *>(world.window(rank));
    data[0] = rank;
    std::vector<int32_t> gathered(ranks());
    group->allGather(data, gathered.data(), 1, 1, DType::I32);
    EXPECT_EQ(gathered, std::vector<int32_t>(members.begin(), members.end()));
  });
}

TEST_P(Order, ACommunicatorMadeAnewGoesOnWhereTheLastOneEnded) {
  World world(ranks(), kWindow, kPatience);
  const std::vector<int> members = everyone(ranks());
  runRanks(backend(), ranks(), [&](int rank) {
    Delays delays(rank);
    auto *data = reinterpret_cast<int32_t *>(world.window(rank));
    for (int round = 0; round < 30; ++round) {
      auto group = world.communicator(rank, 0, members);
      data[0] = rank + round;
      delays.maybe();
      group->allReduce(data, data, 1, DType::I32, Reduction::Max);
      EXPECT_EQ(data[0], ranks() - 1 + round);
    }
  });
}

TEST_P(Order, NobodyLeavesABarrierBeforeAllHaveCome) {
  World world(ranks(), kWindow, kPatience);
  const std::vector<int> members = everyone(ranks());
  auto *come = new (world.window(0)) std::atomic<int>(0);
  runRanks(backend(), ranks(), [&](int rank) {
    auto group = world.communicator(rank, 0, members);
    Delays delays(rank);
    for (int round = 1; round <= 200; ++round) {
      delays.maybe();
      come->fetch_add(1);
      group->barrier();
      EXPECT_GE(come->load(), round * ranks());
    }
  });
}

DEEPSHARD_ON_RANKS(Order, 1, 2, 3, 8);

} // namespace
