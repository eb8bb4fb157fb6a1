//===- SimulateTest.cpp - collectives on simulated ranks --------------------------------------===//

#include "test/unit/sharding/Testing.h"

#include <gmock/gmock.h>

using namespace mlir;

namespace deepshard::sharding {
namespace {

using graph::HostTensor;
using testing::ElementsAre;

class SimulateTest : public ShardingTest {
protected:
  /// Per rank, the f32 elements of the only result of `body` on rank-1 arguments of two elements:
  /// rank r holds r and 10 + r, or `values`.
  std::vector<std::vector<float>> run(StringRef meshAxes, StringRef body, StringRef resultType,
                                      std::vector<std::vector<float>> values = {}) {
    MeshAttr ranks = mesh(meshAxes);
    if (values.empty())
      for (int64_t rank = 0; rank < ranks.getRanks(); ++rank)
        values.push_back({static_cast<float>(rank), static_cast<float>(10 + rank)});
    auto elements = static_cast<int64_t>(values.front().size());
    std::string text = "func.func @f(%x: tensor<" + std::to_string(elements) + "xf32>) -> " +
                       resultType.str() + " {\n" + body.str() +
                       "\nreturn %r : " + resultType.str() + "}";
    OwningOpRef<ModuleOp> module = parse(meshAxes, text);
    EXPECT_TRUE(module);
    Parts parts;
    for (const std::vector<float> &value : values) {
      HostTensor part(tensor({elements}));
      std::copy(value.begin(), value.end(), part.as<float>());
      parts.push_back(std::move(part));
    }
    FailureOr<std::vector<Parts>> results =
        evaluateOnRanks(*module->getOps<func::FuncOp>().begin(), ranks, parts);
    EXPECT_TRUE(succeeded(results));
    std::vector<std::vector<float>> rows;
    for (const HostTensor &part : results->front())
      rows.emplace_back(part.as<float>(), part.as<float>() + part.getType().getNumElements());
    return rows;
  }

  /// The message of a failing join.
  std::string joinError(const Parts &parts, LayoutAttr layout, MeshAttr mesh) {
    std::string message;
    ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
      message = diagnostic.str();
      return success();
    });
    auto emit = [&] { return emitError(UnknownLoc::get(&context)); };
    EXPECT_TRUE(failed(join(emit, parts, layout, mesh)));
    return message;
  }
};

constexpr const char *kMesh = R"(["a" = 2, "b" = 2])"; // rank = 2 a + b

TEST_F(SimulateTest, AllGather) {
  EXPECT_THAT(
      run(kMesh,
          R"(%r = sharding.all_gather %x over @mesh {"a"} dim 0 : tensor<2xf32> to tensor<4xf32>)",
          "tensor<4xf32>"),
      ElementsAre(ElementsAre(0, 10, 2, 12), ElementsAre(1, 11, 3, 13), ElementsAre(0, 10, 2, 12),
                  ElementsAre(1, 11, 3, 13)));
}

TEST_F(SimulateTest, AllReduce) {
  EXPECT_THAT(
      run(kMesh, R"(%r = sharding.all_reduce sum %x over @mesh {"b"} : tensor<2xf32>)",
          "tensor<2xf32>"),
      ElementsAre(ElementsAre(1, 21), ElementsAre(1, 21), ElementsAre(5, 25), ElementsAre(5, 25)));
  EXPECT_THAT(
      run(kMesh, R"(%r = sharding.all_reduce max %x over @mesh {"a"} : tensor<2xf32>)",
          "tensor<2xf32>"),
      ElementsAre(ElementsAre(2, 12), ElementsAre(3, 13), ElementsAre(2, 12), ElementsAre(3, 13)));
  EXPECT_THAT(
      run(kMesh, R"(%r = sharding.all_reduce min %x over @mesh {"a"} : tensor<2xf32>)",
          "tensor<2xf32>"),
      ElementsAre(ElementsAre(0, 10), ElementsAre(1, 11), ElementsAre(0, 10), ElementsAre(1, 11)));
}

TEST_F(SimulateTest, ReduceScatterInTheOrderOfTheAxes) {
  EXPECT_THAT(run(kMesh,
                  R"(%0 = graph.concat %x, %x dim 0 : tensor<2xf32>, tensor<2xf32>
                     %r = sharding.reduce_scatter sum %0 over @mesh {"b", "a"} dim 0 : tensor<4xf32> to tensor<1xf32>)",
                  "tensor<1xf32>"),
              ElementsAre(ElementsAre(6), ElementsAre(6), ElementsAre(46), ElementsAre(46)));
}

TEST_F(SimulateTest, AllToAll) {
  EXPECT_THAT(run(R"(["a" = 2])",
                  R"(%0 = graph.reshape %x : tensor<2xf32> to tensor<2x1xf32>
                     %1 = sharding.all_to_all %0 over @mesh {"a"} split 0 concat 1 : tensor<2x1xf32> to tensor<1x2xf32>
                     %r = graph.reshape %1 : tensor<1x2xf32> to tensor<2xf32>)",
                  "tensor<2xf32>"),
              ElementsAre(ElementsAre(0, 1), ElementsAre(10, 11)));
}

TEST_F(SimulateTest, Permute) {
  EXPECT_THAT(run(R"(["a" = 3])",
                  R"(%r = sharding.permute %x over @mesh {"a"} sources [1, 2, 0] : tensor<2xf32>)",
                  "tensor<2xf32>"),
              ElementsAre(ElementsAre(1, 11), ElementsAre(2, 12), ElementsAre(0, 10)));
}

TEST_F(SimulateTest, LocalSliceAndAxisIndex) {
  EXPECT_THAT(
      run(kMesh,
          R"(%0 = sharding.local_slice %x over @mesh {"a"} dim 0 : tensor<2xf32> to tensor<1xf32>
                     %1 = sharding.axis_index over @mesh {"b", "a"} : tensor<i64>
                     %2 = graph.convert %1 : tensor<i64> to tensor<f32>
                     %r = graph.add %0, %2 : tensor<1xf32>, tensor<f32>)",
          "tensor<1xf32>"),
      ElementsAre(ElementsAre(0), ElementsAre(3), ElementsAre(13), ElementsAre(16)));
}

TEST_F(SimulateTest, Pack) {
  EXPECT_THAT(
      run(R"(["a" = 1])",
          R"(%r = sharding.pack %x, %x offsets [1, 4] : tensor<2xf32>, tensor<2xf32> to tensor<7xf32>)",
          "tensor<7xf32>"),
      ElementsAre(ElementsAre(0, 0, 10, 0, 0, 10, 0)));
}

// 1 + 2^24 is 2^24 in f32: (1 + 2^24) + (1 + 2^24) = 2^25, where a sum from left to right of
// 1 + 1 + 2^24 + ... or of any other order gives something else.
TEST_F(SimulateTest, SumsAddHalvesFirst) {
  const float big = 1 << 24;
  std::vector<std::vector<float>> values = {{1}, {big}, {1}, {big}};
  StringRef body = R"(%r = sharding.all_reduce sum %x over @mesh {"a"} : tensor<1xf32>)";
  EXPECT_EQ(run(R"(["a" = 4])", body, "tensor<1xf32>", values)[0][0], 2 * big);
  values = {{1}, {1}, {big}, {0}};
  EXPECT_EQ(run(R"(["a" = 4])", body, "tensor<1xf32>", values)[0][0], 2 + big);
  values = {{1}, {1}, {big}}; // 1 + (1 + 2^24)
  EXPECT_EQ(run(R"(["a" = 3])", body, "tensor<1xf32>", values)[0][0], big);
}

// 515 rounds to the bf16 516; if 256 + 1 were rounded, to 256, the sum would be 514, rounded 512.
TEST_F(SimulateTest, NarrowSumsRoundOnce) {
  std::vector<std::vector<float>> values = {{256}, {1}, {2}, {256}};
  EXPECT_EQ(run(R"(["a" = 4])",
                R"(%0 = graph.convert %x : tensor<1xf32> to tensor<1xbf16>
                   %1 = sharding.all_reduce sum %0 over @mesh {"a"} : tensor<1xbf16>
                   %r = graph.convert %1 : tensor<1xbf16> to tensor<1xf32>)",
                "tensor<1xf32>", values)[0][0],
            516);
}

TEST_F(SimulateTest, JoinIsTheInverseOfSplit) {
  MeshAttr ranks = mesh(R"(["a" = 2, "b" = 2])");
  HostTensor whole(tensor({4, 6}));
  for (int64_t i = 0; i < 24; ++i)
    whole.as<float>()[i] = static_cast<float>(i);
  auto emit = [&] { return emitError(UnknownLoc::get(&context)); };
  for (StringRef text :
       {R"([{}, {}])", R"([{"a"}, {"b"}])", R"([{"b", "a"}, {}])",
        R"([{}, {"b"}], partial = sum {"a"})", R"([{"a"}, {}], partial = max {"b"})"}) {
    LayoutAttr cut = layout(text);
    FailureOr<HostTensor> joined = join(emit, split(whole, cut, ranks), cut, ranks);
    ASSERT_TRUE(succeeded(joined)) << text.str();
    EXPECT_EQ(std::memcmp(joined->data(), whole.data(), whole.size()), 0) << text.str();
  }
}

TEST_F(SimulateTest, JoinNamesRanksThatDiffer) {
  MeshAttr ranks = mesh(R"(["a" = 2, "b" = 2])");
  LayoutAttr cut = layout(R"([{"a"}])");
  Parts parts = split(HostTensor(tensor({4})), cut, ranks);
  parts[3].as<float>()[1] = 1;
  EXPECT_EQ(joinError(parts, cut, ranks), "ranks 2 and 3 should hold the same but differ");
  parts[2] = HostTensor(tensor({3}));
  EXPECT_EQ(joinError(parts, cut, ranks),
            "rank 0 holds 'tensor<2xf32>' but rank 2 holds 'tensor<3xf32>'");
  parts.pop_back();
  EXPECT_EQ(joinError(parts, cut, ranks), "has 3 parts for 4 ranks");
}

TEST_F(SimulateTest, RefusesArgumentsOfOtherTypes) {
  OwningOpRef<ModuleOp> module =
      parse(R"(["a" = 2])", "func.func @f(%x: tensor<2xf32>) { return }");
  func::FuncOp function = *module->getOps<func::FuncOp>().begin();
  std::string message;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    message = diagnostic.str();
    return success();
  });
  Parts parts = {HostTensor(tensor({2})), HostTensor(tensor({3}))};
  EXPECT_TRUE(failed(evaluateOnRanks(function, mesh(R"(["a" = 2])"), parts)));
  EXPECT_EQ(message, "argument 0 has type 'tensor<2xf32>', but rank 1 got a value of type "
                     "'tensor<3xf32>'");
}

} // namespace
} // namespace deepshard::sharding
