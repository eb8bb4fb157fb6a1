//===- MeshTest.cpp - mesh arithmetic against its definition ----------------------------------===//

#include "runtime/plan/Mesh.h"

#include "test/unit/runtime/Meshes.h"

#include <algorithm>
#include <random>

using namespace deepshard;
using namespace deepshard::runtime;
using namespace deepshard::runtime::test;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

/// The coordinates of a rank along every axis, by counting.
std::vector<uint64_t> coordinatesOf(const planpb::Mesh &mesh, uint64_t rank) {
  std::vector<uint64_t> coordinates(mesh.axes_size(), 0);
  for (uint64_t i = 0; i < rank; ++i)
    for (int axis = mesh.axes_size(); axis-- > 0;) {
      if (++coordinates[axis] < mesh.axes(axis).size())
        break;
      coordinates[axis] = 0;
    }
  return coordinates;
}

/// How a coordinate of an axis counts under a reference, as plan.proto says it.
struct Counted {
  uint64_t size, rest;
  uint64_t of(uint64_t coordinate) const { return coordinate / rest % size; }
};

Counted counted(const planpb::Mesh &mesh, const planpb::AxisRef &axis) {
  uint64_t whole = mesh.axes(static_cast<int>(axis.axis())).size();
  if (axis.size() == 0)
    return {whole, 1};
  return {axis.size(), whole / (axis.pre_size() * axis.size())};
}

/// The coordinates with all that the list names set to 0.
std::vector<uint64_t> others(const planpb::Mesh &mesh, const planpb::AxisList &list,
                             uint64_t rank) {
  std::vector<uint64_t> coordinates = coordinatesOf(mesh, rank);
  std::vector<uint64_t> result = coordinates;
  for (const planpb::AxisRef &axis : list.axes()) {
    Counted place = counted(mesh, axis);
    result[axis.axis()] -= place.of(coordinates[axis.axis()]) * place.rest;
  }
  return result;
}

TEST(MeshTest, RandomListsFollowTheDefinition) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    planpb::Mesh axes = randomMesh(random, 48);
    Mesh mesh(axes);
    planpb::AxisList list = randomAxes(random, axes);
    ASSERT_EQ(mesh.faultOf(list), std::nullopt);
    planpb::View view;
    for (const planpb::AxisRef &axis : list.axes()) {
      *view.add_axis_strides()->mutable_axis() = axis;
      view.mutable_axis_strides()->rbegin()->set_bytes(8 * (random() % 100));
    }
    uint64_t largest = 0;
    for (uint64_t rank = 0; rank < mesh.ranks(); ++rank) {
      std::vector<uint64_t> coordinates = coordinatesOf(axes, rank);
      uint64_t part = 0, parts = 1, shift = 0;
      for (int i = 0; i < list.axes_size(); ++i) {
        Counted place = counted(axes, list.axes(i));
        uint64_t coordinate = place.of(coordinates[list.axes(i).axis()]);
        parts *= place.size;
        part = part * place.size + coordinate;
        shift += coordinate * view.axis_strides(i).bytes();
      }
      largest = std::max(largest, shift);
      EXPECT_EQ(mesh.parts(list), parts);
      EXPECT_EQ(mesh.part(list, rank), part);
      EXPECT_EQ(mesh.shift(view, rank), shift);
      std::vector<int> group(parts, -1);
      for (uint64_t other = 0; other < mesh.ranks(); ++other)
        if (others(axes, list, other) == others(axes, list, rank))
          group[mesh.part(list, other)] = static_cast<int>(other);
      EXPECT_EQ(mesh.group(list, rank), group);
      uint64_t byDigits = 0;
      for (const Digit &digit : mesh.digits(list))
        byDigits = byDigits * digit.size + digit.of(rank);
      EXPECT_EQ(byDigits, part);
    }
    EXPECT_EQ(mesh.largestShift(view), largest);
  }
}

TEST(MeshTest, OverlapIsWhatTwoCoordinatesShare) {
  std::mt19937 random(3);
  int overlaps = 0;
  for (int round = 0; round < 2000; ++round) {
    planpb::Mesh axes = randomMesh(random, 48);
    Mesh mesh(axes);
    planpb::AxisRef a = randomAxis(random, axes), b = randomAxis(random, axes);
    // Apart: setting one coordinate to any value leaves the other as it is.
    auto leaves = [&](Digit one, Digit other) {
      for (uint64_t rank = 0; rank < mesh.ranks(); ++rank)
        for (uint64_t value = 0; value < one.size; ++value)
          if (other.of(rank + (value - one.of(rank)) * one.stride) != other.of(rank))
            return false;
      return true;
    };
    bool areApart = leaves(mesh.digit(a), mesh.digit(b)) && leaves(mesh.digit(b), mesh.digit(a));
    EXPECT_EQ(mesh.overlap(a, b), !areApart) << mesh.text(a) << " and " << mesh.text(b);
    overlaps += areApart ? 0 : 1;
  }
  EXPECT_GT(overlaps, 100);
}

TEST(MeshTest, ListsThatCutAlikeHaveEqualDigits) {
  Mesh mesh(meshOf({{"data", 8}, {"tensor", 2}}));
  EXPECT_EQ(mesh.digits(axesOf({{0, 1, 2}, {0, 2, 4}})), mesh.digits(axesOf({{0}})));
  EXPECT_EQ(mesh.digits(axesOf({{0}, {1}})), (std::vector<Digit>{{16, 1}}));
  EXPECT_NE(mesh.digits(axesOf({{1}, {0}})), mesh.digits(axesOf({{0}, {1}})));
  EXPECT_THAT(mesh.group(axesOf({{0, 2, 2}}), 5), ElementsAre(1, 5));
  EXPECT_EQ(mesh.text(axesOf({{1}, {0, 2, 2}})), "tensor, data:(2)2");
}

TEST(MeshTest, FaultsAreNamed) {
  EXPECT_THAT(*Mesh::faultOf(meshOf({{"data", 0}})), HasSubstr("axis data has the size 0"));
  EXPECT_THAT(*Mesh::faultOf(meshOf({{"a", 2}, {"a", 2}})), HasSubstr("occurs twice"));
  EXPECT_THAT(*Mesh::faultOf(meshOf({{"a", 1u << 31}, {"b", 4}})), HasSubstr("more than"));
  Mesh mesh(meshOf({{"data", 12}}));
  EXPECT_THAT(*mesh.faultOf(axesOf({{1}})), HasSubstr("axis 1 of 1 does not exist"));
  EXPECT_THAT(*mesh.faultOf(axesOf({{0, 2, 4}})), HasSubstr("(2)4 of axis data does not divide"));
  EXPECT_THAT(*mesh.faultOf(axesOf({{0, 0, 4}})), HasSubstr("does not divide"));
  EXPECT_THAT(*mesh.faultOf(axesOf({{0, 1, 4}, {0, 2, 2}})), HasSubstr("overlap"));
  // 12 = 2 x 6 and 12 = 3 x 2 x 2 do not nest.
  EXPECT_THAT(*mesh.faultOf(axesOf({{0, 1, 2}, {0, 3, 2}})), HasSubstr("overlap"));
}

} // namespace
