//===- LoopbackTest.cpp - collectives of ranks that share a GPU, by their definition ----------===//

#include "runtime/comm/Control.h"
#include "runtime/device/Cuda.h"
#include "test/unit/comm/Oracle.h"
#include "test/unit/comm/Ranks.h"
#include "test/unit/cuda/CudaTesting.h"

using namespace deepshard::runtime;
using namespace deepshard::runtime::test;

namespace {

/// One rank of a group of all, on the fake GPU.
class Member {
public:
  Member(World &world, int rank) {
    std::vector<int> all = everyone(world.ranks());
    host = world.communicator(rank, kMaxGroups - 1, all);
    CudaOptions options;
    options.rank = rank;
    options.ranks = world.ranks();
    options.ranksShareGpu = true;
    options.everyone = host.get();
    options.exchange = world.window(rank);
    device = openCuda(options);
    window = device->arena(Space::Window, kWindowBytes);
    output = device->arena(Space::Device, kWindowBytes);
    stream = device->stream("compute");
    group = device->communicator(world.communicator(rank, 0, all), all);
  }

  /// Fills the window with `input`, calls `collective(group, input, output)` as work of the stream,
  /// and returns what it gave: in the window if it was `inPlace`.
  template <typename T, typename Collective>
  std::vector<T> run(const std::vector<T> &input, size_t count, bool inPlace,
                     const Collective &collective) {
    device->write(window->data(), input.data(), input.size() * sizeof(T));
    char *to = inPlace ? window->data() : output->data();
    std::function<void()> work = [&] { collective(*group, window->data(), to); };
    stream->issue([](void *context,
                     uint64_t) noexcept { (*static_cast<std::function<void()> *>(context))(); },
                  &work, 0);
    stream->join();
    std::vector<T> result(count);
    device->read(result.data(), to, count * sizeof(T));
    return result;
  }

private:
  static constexpr uint64_t kWindowBytes = 1 << 16;

  std::unique_ptr<Communicator> host;
  std::unique_ptr<Device> device;
  std::unique_ptr<Arena> window, output;
  std::unique_ptr<Stream> stream;
  std::unique_ptr<Communicator> group;
};

struct LoopbackTest : testing::TestWithParam<int> {
  LoopbackTest() { fakeCuda().reset({.seed = static_cast<uint32_t>(GetParam())}); }
  ~LoopbackTest() override { EXPECT_EQ(fakeCuda().alive(), 0); }

  template <typename Body> void onRanks(const Body &body) {
    World world(GetParam(), kExchangeBytes, kPatience);
    runRanks(Backend::Threads, GetParam(), [&](int rank) {
      Member member(world, rank);
      body(member, rank);
    });
  }
};

TEST_P(LoopbackTest, Reduces) {
  const int ranks = GetParam();
  const std::vector<int> all = everyone(ranks);
  onRanks([&](Member &member, int rank) {
    unsigned salt = 0;
    forEachType([&](auto type) {
      using T = decltype(type);
      for (Reduction reduction : kReductions)
        for (int64_t count : {int64_t{1}, int64_t{67}, int64_t{1000}}) {
          ++salt;
          std::vector<T> expected(count);
          for (int64_t i = 0; i < count; ++i)
            expected[i] = reduced<T>(reduction, all, i, salt);
          for (bool inPlace : {true, false}) {
            std::vector<T> found =
                member.run<T>(inputs<T>(rank, count, salt), count, inPlace,
                              [&](Communicator &group, const void *input, void *output) {
                                group.allReduce(input, output, count, dtypeOf<T>(), reduction);
                              });
            EXPECT_EQ(differences(found.data(), expected), 0) << nameOf(dtypeOf<T>());
          }
        }
    });
  });
}

TEST_P(LoopbackTest, ReducesAndScatters) {
  const int ranks = GetParam();
  const std::vector<int> all = everyone(ranks);
  onRanks([&](Member &member, int rank) {
    unsigned salt = 0;
    for (int64_t outer : {1, 3})
      for (int64_t inner : {1, 37}) {
        ++salt;
        std::vector<float> expected;
        for (int64_t row = 0; row < outer; ++row)
          for (int64_t i = 0; i < inner; ++i)
            expected.push_back(
                reduced<float>(Reduction::Sum, all, (row * ranks + rank) * inner + i, salt));
        std::vector<float> found = member.run<float>(
            inputs<float>(rank, outer * ranks * inner, salt), expected.size(), false,
            [&](Communicator &group, const void *input, void *output) {
              group.reduceScatter(input, output, outer, inner, DType::F32, Reduction::Sum);
            });
        EXPECT_EQ(differences(found.data(), expected), 0);
      }
  });
}

TEST_P(LoopbackTest, Moves) {
  const int ranks = GetParam();
  constexpr int64_t kOuter = 2, kMiddle = 3, kInner = 5;
  onRanks([&](Member &member, int rank) {
    std::vector<int64_t> gathered, forward, backward, permuted;
    for (int64_t o = 0; o < kOuter; ++o) {
      for (int j = 0; j < ranks; ++j)
        for (int64_t i = 0; i < kInner; ++i)
          gathered.push_back(inputOf<int64_t>(j, o * kInner + i, 1));
      for (int64_t m = 0; m < kMiddle; ++m)
        for (int j = 0; j < ranks; ++j)
          for (int64_t i = 0; i < kInner; ++i)
            forward.push_back(
                inputOf<int64_t>(j, ((o * ranks + rank) * kMiddle + m) * kInner + i, 2));
      for (int j = 0; j < ranks; ++j)
        for (int64_t m = 0; m < kMiddle; ++m)
          for (int64_t i = 0; i < kInner; ++i)
            backward.push_back(
                inputOf<int64_t>(j, ((o * kMiddle + m) * ranks + rank) * kInner + i, 3));
    }
    std::vector<int> sources;
    for (int j = 0; j < ranks; ++j)
      sources.push_back((j + 1) % ranks);
    permuted = inputs<int64_t>(sources[rank], kInner, 4);
    const auto check = [&](const std::vector<int64_t> &expected, int64_t count, unsigned salt,
                           const auto &collective) {
      EXPECT_EQ(member.run<int64_t>(inputs<int64_t>(rank, count, salt), expected.size(), false,
                                    collective),
                expected);
    };
    check(gathered, kOuter * kInner, 1, [&](Communicator &group, const void *input, void *output) {
      group.allGather(input, output, kOuter, kInner, DType::I64);
    });
    const int64_t all = kOuter * ranks * kMiddle * kInner;
    check(forward, all, 2, [&](Communicator &group, const void *input, void *output) {
      group.allToAllForward(input, output, kOuter, kMiddle, kInner, DType::I64);
    });
    check(backward, all, 3, [&](Communicator &group, const void *input, void *output) {
      group.allToAllBackward(input, output, kOuter, kMiddle, kInner, DType::I64);
    });
    check(permuted, kInner, 4, [&](Communicator &group, const void *input, void *output) {
      group.permute(input, output, kInner, DType::I64, sources);
    });
  });
}

/// A group of two whose other member leaves while the group is made: what it offered is gone.
class Deserted final : public Communicator {
public:
  int rank() const override { return 0; }
  int size() const override { return 2; }
  void allReduce(const void *, void *, int64_t, DType, Reduction) override {}
  void reduceScatter(const void *, void *, int64_t, int64_t, DType, Reduction) override {}
  void allGather(const void *input, void *output, int64_t, int64_t, DType) override {
    const int64_t own = *static_cast<const int64_t *>(input), gone = own + 1;
    static_cast<int64_t *>(output)[0] = own;
    static_cast<int64_t *>(output)[1] = gone;
  }
  void allToAllForward(const void *, void *, int64_t, int64_t, int64_t, DType) override {}
  void allToAllBackward(const void *, void *, int64_t, int64_t, int64_t, DType) override {}
  void permute(const void *, void *, int64_t, DType, std::span<const int>) override {}
  void barrier() override { throw Error("the job was aborted", ExitCode::RankFailed); }
};

TEST(LoopbackGroupTest, EndsIfAMemberLeaves) {
  fakeCuda().reset({});
  {
    World world(1, kExchangeBytes, kPatience);
    std::unique_ptr<Communicator> host = world.communicator(0, kMaxGroups - 1, everyone(1));
    CudaOptions options;
    options.ranks = 1;
    options.ranksShareGpu = true;
    options.everyone = host.get();
    options.exchange = world.window(0);
    std::unique_ptr<Device> device = openCuda(options);
    EXPECT_THROW(device->communicator(std::make_unique<Deserted>(), everyone(2)), Error);
  }
  EXPECT_EQ(fakeCuda().alive(), 0);
}

INSTANTIATE_TEST_SUITE_P(Each, LoopbackTest, testing::Values(1, 2, 3, 4, 7));

} // namespace
