//===- ReduceTest.cpp - all_reduce and reduce_scatter -----------------------------------------===//

#include "Oracle.h"
#include "Ranks.h"

#include "runtime/comm/Loops.h"
#include "runtime/kernels/CpuLevel.h"

using namespace deepshard::runtime;
using namespace deepshard::runtime::test;

namespace {

constexpr uint64_t kWindow = 16 << 20;
constexpr uint64_t kOutput = 8 << 20; // where outputs begin in the window
constexpr int64_t kSizes[] = {0, 1, 7, 63, 1500};

class Reduce : public OnRanks {};

template <typename T>
std::vector<T> reducedAll(Reduction reduction, std::span<const int> members, int64_t begin,
                          int64_t count, unsigned salt) {
  std::vector<T> expected(count);
  for (int64_t index = 0; index < count; ++index)
    expected[index] = reduced<T>(reduction, members, begin + index, salt);
  return expected;
}

template <typename T>
void checkAllReduce(World &world, Communicator &group, std::span<const int> members,
                    Reduction reduction, int64_t count, uint64_t shift, bool inPlace,
                    unsigned salt) {
  const int rank = members[group.rank()];
  auto *input = reinterpret_cast<T *>(world.window(rank) + shift);
  auto *output = inPlace ? input : reinterpret_cast<T *>(world.window(rank) + kOutput + shift);
  const std::vector<T> own = inputs<T>(rank, count, salt);
  std::copy(own.begin(), own.end(), input);
  group.allReduce(input, output, count, dtypeOf<T>(), reduction);
  EXPECT_EQ(differences(output, reducedAll<T>(reduction, members, 0, count, salt)), 0)
      << nameOf(dtypeOf<T>()) << " x " << count << " over " << members.size();
  if (!inPlace) {
    EXPECT_EQ(differences(input, own), 0) << "the input changed";
  }
  std::fill_n(reinterpret_cast<char *>(output), count * sizeof(T), 0x55);
}

template <typename T>
void checkReduceScatter(World &world, Communicator &group, std::span<const int> members,
                        Reduction reduction, int64_t outer, int64_t inner, bool inPlace,
                        unsigned salt) {
  const int rank = members[group.rank()], self = group.rank(), size = group.size();
  auto *input = reinterpret_cast<T *>(world.window(rank));
  const std::vector<T> own = inputs<T>(rank, outer * size * inner, salt);
  std::copy(own.begin(), own.end(), input);
  std::vector<T> outside(outer * inner); // the output need not be in the window
  T *output = inPlace ? input + self * inner : outside.data();
  group.reduceScatter(input, output, outer, inner, dtypeOf<T>(), reduction);
  std::vector<T> expected;
  for (int64_t row = 0; row < outer; ++row)
    for (const T &value :
         reducedAll<T>(reduction, members, (row * size + self) * inner, inner, salt))
      expected.push_back(value);
  EXPECT_EQ(differences(output, expected), 0)
      << nameOf(dtypeOf<T>()) << " x " << outer << " x " << inner << " over " << size;
}

TEST_P(Reduce, AllReduceIsTheTreeOverTheGroup) {
  World world(ranks(), kWindow, kPatience);
  const std::vector<int> members = everyone(ranks());
  runRanks(backend(), ranks(), [&](int rank) {
    auto group = world.communicator(rank, 0, members);
    unsigned salt = 0;
    forEachType([&](auto element) {
      using T = decltype(element);
      for (Reduction reduction : kReductions)
        for (int64_t count : kSizes)
          // Whole cache lines apart, and in place on data that begin inside one.
          for (bool inPlace : {false, true})
            checkAllReduce<T>(world, *group, members, reduction, count, inPlace ? 5 * sizeof(T) : 0,
                              inPlace, ++salt);
    });
  });
}

TEST_P(Reduce, ReduceScatterGivesEachItsPart) {
  World world(ranks(), kWindow, kPatience);
  const std::vector<int> members = everyone(ranks());
  runRanks(backend(), ranks(), [&](int rank) {
    auto group = world.communicator(rank, 0, members);
    unsigned salt = 0;
    forEachType([&](auto element) {
      using T = decltype(element);
      for (Reduction reduction : kReductions) {
        for (int64_t inner : kSizes) {
          checkReduceScatter<T>(world, *group, members, reduction, 1, inner, false, ++salt);
          checkReduceScatter<T>(world, *group, members, reduction, 1, inner, true, ++salt);
        }
        checkReduceScatter<T>(world, *group, members, reduction, 5, 13, false, ++salt);
      }
    });
  });
}

DEEPSHARD_ON_RANKS(Reduce, 1, 2, 3, 4, 5, 8);

class LargeReduce : public OnRanks {};

// More than the cache: streaming stores.
TEST_P(LargeReduce, StreamingStoresGiveTheSameBits) {
  World world(ranks(), kWindow, kPatience);
  const std::vector<int> members = everyone(ranks());
  runRanks(backend(), ranks(), [&](int rank) {
    auto group = world.communicator(rank, 0, members);
    checkAllReduce<float>(world, *group, members, Reduction::Sum, 530'003, 0, true, 1);
    checkAllReduce<float>(world, *group, members, Reduction::Sum, 530'003, 20, false, 2);
    checkAllReduce<BF16>(world, *group, members, Reduction::Sum, 1'060'007, 10, false, 3);
    checkReduceScatter<float>(world, *group, members, Reduction::Sum, 1, 530'001, false, 4);
  });
}

DEEPSHARD_ON_RANKS(LargeReduce, 2, 3);

class Tree : public OnRanks {};

// What makes a sum over several axes independent of how it is split into collectives.
TEST_P(Tree, SumsOverTwoAxesInTurnGiveTheBitsOfOneSum) {
  constexpr int64_t kCount = 3001;
  const int half = ranks() / 2;
  World world(ranks(), kWindow, kPatience);
  const std::vector<int> members = everyone(ranks());
  runRanks(backend(), ranks(), [&](int rank) {
    auto whole = world.communicator(rank, 0, members);
    // The inner axis has half of the ranks, the outer one two.
    std::vector<int> inner(half);
    std::iota(inner.begin(), inner.end(), rank / half * half);
    const std::vector<int> outer = {rank % half, rank % half + half};
    auto first = world.communicator(rank, 1, inner);
    auto second = world.communicator(rank, 2, outer);
    auto *data = reinterpret_cast<float *>(world.window(rank));
    auto *twice = reinterpret_cast<float *>(world.window(rank) + kOutput);
    for (unsigned salt = 0; salt < 5; ++salt) {
      const std::vector<float> own = inputs<float>(rank, kCount, salt);
      std::copy(own.begin(), own.end(), data);
      first->allReduce(data, twice, kCount, DType::F32, Reduction::Sum);
      second->allReduce(twice, twice, kCount, DType::F32, Reduction::Sum);
      whole->allReduce(data, data, kCount, DType::F32, Reduction::Sum);
      EXPECT_EQ(std::memcmp(data, twice, kCount * sizeof(float)), 0);
    }
  });
}

DEEPSHARD_ON_RANKS(Tree, 4, 6, 8);

TEST(Loops, EveryLevelGivesTheSameBits) {
  if (!offers(cpuLevel(), "x86-64-v4"))
    GTEST_SKIP() << "this machine has one level only";
  constexpr int64_t kCount = 4099;
  for (int ninputs = 2; ninputs <= 9; ++ninputs)
    forEachType([&](auto element) {
      using T = decltype(element);
      constexpr comm::Element kElement = std::is_same_v<T, float>     ? comm::kF32
                                         : std::is_same_v<T, double>  ? comm::kF64
                                         : std::is_same_v<T, BF16>    ? comm::kBF16
                                         : std::is_same_v<T, F16>     ? comm::kF16
                                         : std::is_same_v<T, int64_t> ? comm::kI64
                                                                      : comm::kI32;
      std::vector<std::vector<T>> data;
      std::vector<const void *> from;
      for (int input = 0; input < ninputs; ++input)
        data.push_back(inputs<T>(input, kCount, ninputs));
      for (const std::vector<T> &input : data)
        from.push_back(input.data());
      const std::vector<int> members = everyone(ninputs);
      for (int operation = 0; operation < comm::kOperations; ++operation)
        for (comm::Stores stores : {comm::Stores::Cached, comm::Stores::Streaming})
          for (const comm::Loops *loops : {&comm::loopsLevel3(), &comm::loopsLevel4()}) {
            std::vector<T> result(kCount);
            void *to = result.data();
            loops->reduce[kElement][operation](from.data(), ninputs, &to, 1, kCount, stores);
            EXPECT_EQ(differences(result.data(), reducedAll<T>(kReductions[operation], members, 0,
                                                               kCount, ninputs)),
                      0)
                << nameOf(dtypeOf<T>()) << " over " << ninputs;
          }
    });
}

TEST(Oracle, RoundsToTheNearestBF16) {
  EXPECT_EQ(nearestBF16(1.0f).bits, 0x3f80);
  EXPECT_EQ(nearestBF16(1.00390625f).bits, 0x3f80); // half way: even
  EXPECT_EQ(nearestBF16(1.01171875f).bits, 0x3f82); // half way: even
  EXPECT_EQ(nearestBF16(-1.0040f).bits, 0xbf81);    // beyond half way
  EXPECT_EQ(nearestBF16(3.4e38f).bits, 0x7f80);     // overflows
}

} // namespace
