//===- Meshes.cpp - meshes for tests
//------------------------------------------------------------===//

#include "test/unit/runtime/Meshes.h"

namespace deepshard::runtime::test {

planpb::Mesh meshOf(std::initializer_list<std::pair<const char *, uint32_t>> axes) {
  planpb::Mesh mesh;
  for (const auto &[name, size] : axes) {
    planpb::MeshAxis &axis = *mesh.add_axes();
    axis.set_name(name);
    axis.set_size(size);
  }
  return mesh;
}

planpb::AxisList axesOf(std::initializer_list<Axis> axes) {
  planpb::AxisList list;
  for (const Axis &from : axes) {
    planpb::AxisRef &axis = *list.add_axes();
    axis.set_axis(from.axis);
    axis.set_pre_size(from.pre);
    axis.set_size(from.size);
  }
  return list;
}

planpb::Mesh randomMesh(std::mt19937 &random, uint32_t ranks) {
  planpb::Mesh mesh;
  for (uint32_t i = 0, count = 1 + random() % 3; i < count; ++i) {
    planpb::MeshAxis &axis = *mesh.add_axes();
    axis.set_name(std::string(1, static_cast<char>('a' + i)));
    axis.set_size(1 + random() % (i + 1 == count ? ranks : std::min<uint32_t>(ranks, 6)));
    ranks /= axis.size();
  }
  return mesh;
}

planpb::AxisRef randomAxis(std::mt19937 &random, const planpb::Mesh &mesh) {
  planpb::AxisRef axis;
  axis.set_axis(random() % mesh.axes_size());
  if (random() % 2 == 0)
    return axis;
  auto divisor = [&](uint32_t number) {
    uint32_t result = 0;
    do
      result = 1 + random() % number;
    while (number % result != 0);
    return result;
  };
  uint32_t size = mesh.axes(static_cast<int>(axis.axis())).size();
  axis.set_pre_size(divisor(size));
  axis.set_size(divisor(size / axis.pre_size()));
  return axis;
}

planpb::AxisList randomAxes(std::mt19937 &random, const planpb::Mesh &mesh,
                            const planpb::AxisList &taken) {
  planpb::AxisList list;
  Mesh arithmetic(mesh);
  for (uint32_t i = 0, tries = random() % 4; i < tries; ++i) {
    planpb::AxisList next = list;
    *next.add_axes() = randomAxis(random, mesh);
    if (!arithmetic.faultOf(next) && !arithmetic.overlap(next, taken))
      list = next;
  }
  return list;
}

} // namespace deepshard::runtime::test
