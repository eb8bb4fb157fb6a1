//===- MoveTest.cpp - all_gather, all_to_all and permute --------------------------------------===//

#include "Oracle.h"
#include "Ranks.h"

using namespace deepshard::runtime;
using namespace deepshard::runtime::test;

namespace {

constexpr uint64_t kWindow = 16 << 20;

class Move : public OnRanks {};

/// One rank's view of a test: the group of all ranks, and input data in its window.
template <typename T> struct Scene {
  World &world;
  Communicator &group;
  int64_t count;
  unsigned salt;
  T *input;

  Scene(World &world, Communicator &group, int64_t count, unsigned salt, uint64_t at = 0)
      : world(world), group(group), count(count), salt(salt),
        input(reinterpret_cast<T *>(world.window(group.rank()) + at)) {
    const std::vector<T> own = inputs<T>(group.rank(), count, salt);
    std::copy(own.begin(), own.end(), input);
  }
  void expect(const T *output, const std::vector<T> &expected, const char *what) const {
    EXPECT_EQ(differences(output, expected), 0)
        << what << " of " << nameOf(dtypeOf<T>()) << " over " << group.size();
    EXPECT_EQ(differences(input, inputs<T>(group.rank(), count, salt)), 0) << "the input changed";
  }
};

template <typename T>
void checkAllGather(World &world, Communicator &group, int64_t outer, int64_t inner, bool inPlace,
                    unsigned salt) {
  const int size = group.size();
  const uint64_t at = inPlace ? group.rank() * inner * sizeof(T) : 0;
  const Scene<T> scene(world, group, outer * inner, salt, at);
  std::vector<T> outside(outer * size * inner);
  T *output = inPlace ? reinterpret_cast<T *>(world.window(group.rank())) : outside.data();
  group.allGather(scene.input, output, outer, inner, dtypeOf<T>());
  std::vector<T> expected;
  for (int64_t o = 0; o < outer; ++o)
    for (int j = 0; j < size; ++j)
      for (int64_t i = 0; i < inner; ++i)
        expected.push_back(inputOf<T>(j, o * inner + i, salt));
  scene.expect(output, expected, "all_gather");
}

template <typename T>
void checkAllToAll(World &world, Communicator &group, int64_t outer, int64_t middle, int64_t inner,
                   unsigned salt) {
  const int size = group.size(), self = group.rank();
  const Scene<T> scene(world, group, outer * size * middle * inner, salt);
  std::vector<T> output(scene.count), expected;
  group.allToAllForward(scene.input, output.data(), outer, middle, inner, dtypeOf<T>());
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t m = 0; m < middle; ++m)
      for (int j = 0; j < size; ++j)
        for (int64_t i = 0; i < inner; ++i)
          expected.push_back(inputOf<T>(j, ((o * size + self) * middle + m) * inner + i, salt));
  scene.expect(output.data(), expected, "all_to_all forward");
  group.allToAllBackward(scene.input, output.data(), outer, middle, inner, dtypeOf<T>());
  expected.clear();
  for (int64_t o = 0; o < outer; ++o)
    for (int j = 0; j < size; ++j)
      for (int64_t m = 0; m < middle; ++m)
        for (int64_t i = 0; i < inner; ++i)
          expected.push_back(inputOf<T>(j, ((o * middle + m) * size + self) * inner + i, salt));
  scene.expect(output.data(), expected, "all_to_all backward");
}

template <typename T>
void checkPermute(World &world, Communicator &group, int64_t count, int step, unsigned salt) {
  const Scene<T> scene(world, group, count, salt);
  std::vector<int> sources = everyone(group.size());
  for (int &source : sources)
    source = (source + step) % group.size();
  std::vector<T> output(count);
  group.permute(scene.input, output.data(), count, dtypeOf<T>(), sources);
  scene.expect(output.data(), inputs<T>(sources[group.rank()], count, salt), "permute");
}

TEST_P(Move, EveryElementGoesWhereTheDefinitionSays) {
  World world(ranks(), kWindow, kPatience);
  const std::vector<int> members = everyone(ranks());
  runRanks(backend(), ranks(), [&](int rank) {
    auto group = world.communicator(rank, 0, members);
    unsigned salt = 0;
    const auto checkType = [&](auto element) {
      using T = decltype(element);
      for (int64_t inner : {0, 1, 2, 3, 8, 65, 1000}) {
        checkAllGather<T>(world, *group, 1, inner, false, ++salt);
        checkAllGather<T>(world, *group, 1, inner, true, ++salt);
        checkAllGather<T>(world, *group, 3, inner, false, ++salt);
        checkAllToAll<T>(world, *group, 1, 1, inner, ++salt);
        checkAllToAll<T>(world, *group, 2, 3, inner, ++salt);
        checkPermute<T>(world, *group, inner, static_cast<int>(salt), salt);
      }
    };
    forEachType(checkType);
    checkType(int8_t{});
  });
}

DEEPSHARD_ON_RANKS(Move, 1, 2, 3, 4, 5, 8);

class LargeMove : public OnRanks {};

// More than the cache: streaming stores, from and to any address.
TEST_P(LargeMove, StreamingStoresMoveEveryElement) {
  World world(ranks(), kWindow, kPatience);
  const std::vector<int> members = everyone(ranks());
  runRanks(backend(), ranks(), [&](int rank) {
    auto group = world.communicator(rank, 0, members);
    checkAllGather<double>(world, *group, 1, 270'003, false, 1);
    checkAllGather<double>(world, *group, 1, 270'003, true, 2);
    checkAllGather<double>(world, *group, 301, 999, false, 3);
    checkAllToAll<double>(world, *group, 2, 301, 501, 4);
    checkPermute<double>(world, *group, 270'003, 1, 5);
  });
}

DEEPSHARD_ON_RANKS(LargeMove, 2, 3);

} // namespace
