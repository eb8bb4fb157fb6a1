//===- Meshes.h - meshes for tests
//--------------------------------------------------------------===//

#ifndef DEEPSHARD_TEST_UNIT_RUNTIME_MESHES_H
#define DEEPSHARD_TEST_UNIT_RUNTIME_MESHES_H

#include "runtime/plan/Mesh.h"

#include <gmock/gmock.h>

#include <cstdint>
#include <initializer_list>
#include <map>
#include <random>
#include <string>
#include <utility>

namespace deepshard::runtime::test {

planpb::Mesh meshOf(std::initializer_list<std::pair<const char *, uint32_t>> axes);

/// An axis by number; with a size, the part (pre)size of it.
struct Axis {
  uint32_t axis = 0;
  uint32_t pre = 0;
  uint32_t size = 0;
};
planpb::AxisList axesOf(std::initializer_list<Axis> axes);

/// One to three axes with at most `ranks` ranks in all, also of size 1.
planpb::Mesh randomMesh(std::mt19937 &random, uint32_t ranks);
/// A whole axis or a part of one.
planpb::AxisRef randomAxis(std::mt19937 &random, const planpb::Mesh &mesh);
/// A list without faults of up to three axes that do not overlap those of `taken` either.
planpb::AxisList randomAxes(std::mt19937 &random, const planpb::Mesh &mesh,
                            const planpb::AxisList &taken = {});

} // namespace deepshard::runtime::test

#endif // DEEPSHARD_TEST_UNIT_RUNTIME_MESHES_H
