//===- RanksTest.cpp - plans of several ranks on threads --------------------------------------===//

#include "runtime/checkpoint/SafeTensors.h"
#include "runtime/comm/World.h"
#include "test/unit/executor/RankTraining.h"
#include "test/unit/runtime/RankPlans.h"

#include <filesystem>
#include <thread>

using namespace deepshard;
using namespace deepshard::runtime;
using namespace deepshard::runtime::test;
using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;

namespace {

struct RanksTest : testing::Test {
  TemporaryDirectory directory;
  ExecutorOptions options = writeData(directory, 8, 29); // batches wrap round

  Outcome run(const Regression &regression, int steps = 12) {
    return runOnThreads(planOf(regression, directory.path("w")), options, steps,
                        directory.path("out.safetensors"));
  }

  std::vector<double> savedWeight(size_t features) {
    SafeTensorsFile file(directory.path("out.safetensors"));
    std::vector<double> weight(features);
    file.file().read(file.find("weight")->offset, weight.data(), features * sizeof(double));
    return weight;
  }
};

TEST_F(RanksTest, ManyRanksAreOneRankWithTheLargerBatch) {
  planpb::Plan one = linearRegression(directory.path("w"), 8, 8, 3, 0.05);
  for (planpb::Input &input : *one.mutable_inputs())
    input.set_batch_dimension(0);
  Executor executor(one, options);
  std::vector<double> losses;
  for (int i = 0; i < 12; ++i)
    losses.push_back(*executor.step().find("loss"));
  executor.saveWeights(directory.path("out.safetensors"));
  std::vector<double> weight = savedWeight(8);
  for (uint32_t ranks : {1, 2, 4})
    for (Zero zero : {Zero::Nothing, Zero::Update, Zero::Parameters}) {
      Outcome many = run({.zero = zero, .ranks = ranks, .microBatch = 8 / ranks});
      for (const std::vector<double> &ofRank : many.losses) {
        ASSERT_EQ(ofRank.size(), losses.size());
        for (size_t i = 0; i < losses.size(); ++i)
          EXPECT_NEAR(ofRank[i], losses[i], 1e-13 * losses[0]) << ranks << " ranks, step " << i;
      }
      for (size_t j = 0; j < weight.size(); ++j)
        EXPECT_NEAR(savedWeight(8)[j], weight[j], 1e-13);
    }
}

TEST_F(RanksTest, SlicesGiveTheBitsOfTheWhole) {
  for (uint32_t ranks : {2, 4}) {
    Outcome whole = run({.zero = Zero::Nothing, .ranks = ranks}, 20);
    for (Zero zero : {Zero::Update, Zero::Parameters}) {
      Outcome slices = run({.zero = zero, .ranks = ranks}, 20);
      EXPECT_EQ(slices.losses, whole.losses);
      EXPECT_EQ(slices.weights, whole.weights);
    }
  }
}

TEST_F(RanksTest, DelaysChangeNothing) {
  Regression regression = {.zero = Zero::Parameters, .ranks = 4};
  Outcome prompt = run(regression, 4);
  for (uint64_t seed : {1, 2, 3}) {
    options.delaySeed = seed;
    Outcome late = run(regression, 4);
    EXPECT_EQ(late.losses, prompt.losses);
    EXPECT_EQ(late.weights, prompt.weights);
  }
}

TEST_F(RanksTest, FirstFailureEndsAllAndNamesRankAndPlace) {
  // Samples 0 to 3 are of ranks 0 and 1, two each; rank 1 finds the file cut in its second.
  planpb::Plan plan = planOf({.ranks = 2}, directory.path("w"));
  World world(2, jobWindowBytes(plan), std::chrono::seconds(60));
  std::array<std::string, 2> messages;
  std::array<ExitCode, 2> codes;
  std::atomic<int> loaded = 0;
  std::vector<std::jthread> threads;
  for (int rank : {0, 1})
    threads.emplace_back([&, rank] {
      Executor executor(plan, options, &world, rank);
      ++loaded;
      while (loaded < 2)
        std::this_thread::yield();
      if (rank == 1)
        std::filesystem::resize_file(directory.path("x.bin"), 3 * 8 * sizeof(double));
      try {
        executor.step();
      } catch (const Error &error) {
        messages[static_cast<size_t>(rank)] = error.what();
        codes[static_cast<size_t>(rank)] = error.code();
      }
    });
  threads.clear();
  EXPECT_TRUE(world.isAborted());
  EXPECT_THAT(world.abortReason(), HasSubstr("x.bin: ends before byte"));
  for (const std::string &message : messages)
    EXPECT_THAT(message, HasSubstr("step 1, micro-batch"));
  EXPECT_THAT(codes, testing::Contains(ExitCode::BadInput));
}

TEST_F(RanksTest, PartIsOfTheSlotsAxes) {
  RankPlanBuilder b({{"data", 2}, {"tensor", 3}});
  planpb::View part = b.buffer("part", planpb::PERSISTENT, planpb::I64, {});
  planpb::View other = b.buffer("other", planpb::PERSISTENT, planpb::I64, {});
  for (auto [view, axis] : {std::pair(part, 0u), std::pair(other, 1u)}) {
    addRunState(b, "part", view);
    *b.program().mutable_run_state()->rbegin()->mutable_axes() = wholeAxes({axis});
  }
  addMetric(b, "data", part);
  addMetric(b, "tensor", other);
  b.call(b.segment("nothing"));
  World world(6, 0, std::chrono::seconds(1));
  for (int rank = 0; rank < 6; ++rank) {
    Executor executor(b.plan, {}, &world, rank);
    const StepResult &result = executor.step();
    EXPECT_EQ(*result.find("data"), rank / 3);
    EXPECT_EQ(*result.find("tensor"), rank % 3);
  }
}

/// Every kind along every dimension against its definition, on a mesh of 2 x 3, over one axis.
TEST_F(RanksTest, CollectivesFollowTheirDefinition) {
  using planpb::Collective;
  static constexpr int64_t kShape[3] = {6, 12, 6};
  struct Case {
    Collective::Kind kind;
    uint32_t split, concat;
  };
  std::vector<Case> cases = {{Collective::ALL_REDUCE, 0, 0}, {Collective::PERMUTE, 0, 0}};
  for (uint32_t i = 0; i < 3; ++i) {
    cases.push_back({Collective::REDUCE_SCATTER, i, 0});
    cases.push_back({Collective::ALL_GATHER, 0, i});
    for (uint32_t j = 0; j < 3; ++j)
      cases.push_back({Collective::ALL_TO_ALL, i, j});
  }
  auto number = [](int rank, int64_t i, int64_t j, int64_t k) {
    return static_cast<double>(rank * 10000 + (i * kShape[1] + j) * kShape[2] + k);
  };
  for (uint32_t axis : {0, 1})
    for (const Case &c : cases) {
      RankPlanBuilder b({{"a", 2}, {"b", 3}});
      planpb::AxisList group = wholeAxes({axis});
      int64_t size = axis == 0 ? 2 : 3;
      std::vector<int64_t> shape(kShape, kShape + 3);
      bool isCut = c.kind == Collective::REDUCE_SCATTER || c.kind == Collective::ALL_TO_ALL;
      bool isJoined = c.kind == Collective::ALL_GATHER || c.kind == Collective::ALL_TO_ALL;
      if (isCut)
        shape[c.split] /= size;
      if (isJoined)
        shape[c.concat] *= size;
      auto window = [&](const char *name, const std::vector<int64_t> &dims) {
        TensorDesc desc = TensorDesc::contiguous(DType::F64, dims);
        planpb::View view = b.window(name, planpb::PERSISTENT, desc.elements());
        view.mutable_shape()->Assign(dims.begin(), dims.end());
        view.mutable_strides()->Assign(desc.strides.begin(), desc.strides.end());
        return view;
      };
      planpb::View input = window("input", {kShape, kShape + 3});
      planpb::View output = window("output", shape);
      uint32_t segment = b.segment("step");
      Collective &task = *b.collective(c.kind, group, input, output).mutable_collective();
      task.set_split(c.split);
      task.set_concat(c.concat);
      b.call(segment);
      World world(6, jobWindowBytes(b.plan), std::chrono::seconds(60));
      std::vector<std::jthread> threads;
      for (int rank = 0; rank < 6; ++rank)
        threads.emplace_back([&, rank] {
          Executor executor(b.plan, {}, &world, rank);
          auto *numbers = reinterpret_cast<double *>(world.window(rank));
          for (int64_t i = 0; i < kShape[0]; ++i)
            for (int64_t j = 0; j < kShape[1]; ++j)
              for (int64_t k = 0; k < kShape[2]; ++k)
                *numbers++ = number(rank, i, j, k);
          executor.step();
        });
      threads.clear();
      Mesh mesh(b.plan.mesh());
      for (int rank = 0; rank < 6; ++rank) {
        std::vector<int> members = mesh.group(group, static_cast<uint64_t>(rank));
        auto own = static_cast<int64_t>(mesh.part(group, static_cast<uint64_t>(rank)));
        const auto *result =
            reinterpret_cast<const double *>(world.window(rank) + b.program().buffers(1).offset());
        for (int64_t flat = 0; flat < shape[0] * shape[1] * shape[2]; ++flat) {
          std::array<int64_t, 3> at = {flat / (shape[1] * shape[2]), flat / shape[2] % shape[1],
                                       flat % shape[2]};
          int64_t from = own; // the member that the element comes from
          if (isJoined) {
            int64_t block = shape[c.concat] / size;
            from = at[c.concat] / block;
            at[c.concat] %= block;
          }
          if (isCut)
            at[c.split] += own * (kShape[c.split] / size);
          double expected = 0;
          bool isSum = c.kind == Collective::ALL_REDUCE || c.kind == Collective::REDUCE_SCATTER;
          if (c.kind == Collective::PERMUTE)
            from = (own + 1) % size;
          for (int64_t member = 0; member < size; ++member)
            if (isSum || member == from)
              expected += number(members[static_cast<size_t>(member)], at[0], at[1], at[2]);
          ASSERT_EQ(result[flat], expected)
              << "kind " << c.kind << " split " << c.split << " concat " << c.concat << " axis "
              << axis << " rank " << rank << " element " << flat;
        }
      }
    }
}

TEST_F(RanksTest, WrongNumberOfRanksIsNamed) {
  planpb::Plan plan = planOf({.ranks = 2}, directory.path("w"));
  EXPECT_THAT(messageOf([&] { Executor executor(plan, options); }),
              HasSubstr("the plan is for 2 ranks, but 1 execute it"));
}

} // namespace
