//===- MeshTest.cpp - ranks, parts, groups and shapes of pieces -------------------------------===//

#include "test/unit/sharding/Testing.h"

#include <gmock/gmock.h>

using namespace mlir;

namespace deepshard::sharding {
namespace {

using testing::ElementsAre;

class MeshTest : public ShardingTest {};

TEST_F(MeshTest, LastAxisVariesFastest) {
  MeshAttr ranks = mesh(R"(["data" = 2, "tensor" = 3])");
  EXPECT_EQ(ranks.getRanks(), 6);
  EXPECT_THAT(ranks.coordinatesOf(4), ElementsAre(1, 1));
  EXPECT_EQ(ranks.partOf(axes(R"({"tensor"})"), 5), 2);
  EXPECT_EQ(ranks.partOf(axes(R"({"tensor", "data"})"), 5), 2 * 2 + 1);
  EXPECT_THAT(ranks.groupOf(axes(R"({"data"})"), 1), ElementsAre(1, 4));
  EXPECT_THAT(ranks.groupOf(axes(R"({"tensor", "data"})"), 0), ElementsAre(0, 3, 1, 4, 2, 5));
}

TEST_F(MeshTest, GroupsCoverEveryRankOnce) {
  MeshAttr ranks = mesh(R"(["a" = 2, "b" = 2, "c" = 2])");
  EXPECT_THAT(ranks.groups(axes(R"({"a", "c"})")),
              ElementsAre(ElementsAre(0, 1, 4, 5), ElementsAre(2, 3, 6, 7)));
  EXPECT_THAT(ranks.groups({}).size(), 8);
}

// The table in the documentation of an axis reference.
TEST_F(MeshTest, CoordinatesOnSubAxes) {
  MeshAttr ranks = mesh(R"(["data" = 8])");
  auto row = [&](StringRef axis) {
    SmallVector<int64_t> coordinates;
    for (int64_t rank = 0; rank < 8; ++rank)
      coordinates.push_back(ranks.coordinateOf(axes(axis).front(), rank));
    return coordinates;
  };
  EXPECT_THAT(row(R"({"data"})"), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_THAT(row(R"({"data":(1)2})"), ElementsAre(0, 0, 0, 0, 1, 1, 1, 1));
  EXPECT_THAT(row(R"({"data":(2)2})"), ElementsAre(0, 0, 1, 1, 0, 0, 1, 1));
  EXPECT_THAT(row(R"({"data":(4)2})"), ElementsAre(0, 1, 0, 1, 0, 1, 0, 1));
  EXPECT_THAT(row(R"({"data":(1)4})"), ElementsAre(0, 0, 1, 1, 2, 2, 3, 3));
}

TEST_F(MeshTest, WhatIsLeft) {
  MeshAttr ranks = mesh(R"(["a" = 8, "b" = 2])");
  EXPECT_EQ(textOf(ranks.complement({})), R"({"a", "b"})");
  EXPECT_EQ(textOf(ranks.complement(axes(R"({"a":(2)2})"))), R"({"a":(1)2, "a":(4)2, "b"})");
  EXPECT_EQ(textOf(ranks.complement(axes(R"({"b", "a"})"))), "{}");
}

TEST_F(MeshTest, CanonicalForm) {
  MeshAttr ranks = mesh(R"(["one" = 1, "a" = 8, "b" = 2])");
  SmallVector<AxisRefAttr> list = {
      AxisRefAttr::get(&context, "a", 1, 2), AxisRefAttr::get(&context, "a", 2, 4),
      AxisRefAttr::get(&context, "one"), AxisRefAttr::get(&context, "b")};
  EXPECT_EQ(textOf(ranks.canonical(list)), R"({"a", "b"})");
  std::swap(list[0], list[1]);
  EXPECT_EQ(textOf(ranks.canonical(list)), R"({"a":(2)4, "a":(1)2, "b"})");
  EXPECT_EQ(textOf(ranks.inMeshOrder(list)), R"({"a", "b"})");
}

TEST_F(MeshTest, Pieces) {
  MeshAttr ranks = mesh(R"(["data" = 4, "tensor" = 2])");
  LayoutAttr cut = layout(R"([{"data":(1)2, "tensor"}, {}])");
  EXPECT_THAT(cut.localShape(ranks, {8, 3}), ElementsAre(2, 3));
  EXPECT_THAT(cut.globalShape(ranks, {2, 3}), ElementsAre(8, 3));
  EXPECT_THAT(cut.offsetsOf(ranks, {8, 3}, 5), ElementsAre(6, 0)); // data 2, tensor 1
  EXPECT_EQ(cut.firstUnevenDim(ranks, {6, 3}), 0u);
  EXPECT_EQ(cut.firstUnevenDim(ranks, {8, 3}), std::nullopt);
  EXPECT_FALSE(cut.isReplicated());
  EXPECT_TRUE(LayoutAttr::replicated(cut.getMesh(), 2).isReplicated());
}

} // namespace
} // namespace deepshard::sharding
