//===- RankPlans.cpp - small plans of several ranks
//---------------------------------------------===//

#include "test/unit/runtime/RankPlans.h"

namespace deepshard::runtime::test {

planpb::AxisList wholeAxes(const std::vector<uint32_t> &indices) {
  planpb::AxisList list;
  for (uint32_t axis : indices)
    list.add_axes()->set_axis(axis);
  return list;
}

RankPlanBuilder::RankPlanBuilder(const std::vector<std::pair<const char *, uint32_t>> &axes) {
  uint32_t ranks = 1;
  for (auto [name, size] : axes) {
    planpb::MeshAxis &axis = *plan.mutable_mesh()->add_axes();
    axis.set_name(name);
    axis.set_size(size);
    ranks *= size;
  }
  plan.set_ranks(ranks);
  plan.mutable_training()->set_global_batch(ranks);
  planpb::Arena &window = *program().add_arenas();
  window.set_alignment(4096);
  window.set_window(true);
}

planpb::View RankPlanBuilder::window(const std::string &name, planpb::Lifetime lifetime,
                                     int64_t elements) {
  constexpr uint64_t kAlignment = 4096;
  planpb::View view;
  view.set_buffer(static_cast<uint32_t>(program().buffers_size()));
  view.set_dtype(planpb::F64);
  view.add_shape(elements);
  view.add_strides(1);
  planpb::Arena &arena = *program().mutable_arenas(1);
  planpb::Buffer &buffer = *program().add_buffers();
  buffer.set_name(name);
  buffer.set_lifetime(lifetime);
  buffer.set_arena(1);
  buffer.set_bytes(static_cast<uint64_t>(elements) * 8);
  buffer.set_alignment(kAlignment);
  buffer.set_offset(arena.bytes());
  arena.set_bytes((arena.bytes() + buffer.bytes() + kAlignment - 1) / kAlignment * kAlignment);
  return view;
}

uint32_t RankPlanBuilder::sizeOf(const planpb::AxisList &axes) const {
  uint32_t size = 1;
  for (const planpb::AxisRef &axis : axes.axes())
    size *= axis.size() != 0 ? axis.size() : plan.mesh().axes(static_cast<int>(axis.axis())).size();
  return size;
}

planpb::View RankPlanBuilder::ownPart(planpb::View whole, const planpb::AxisList &axes) const {
  whole.set_shape(0, whole.shape(0) / sizeOf(axes));
  auto bytes = static_cast<uint64_t>(whole.shape(0) * whole.strides(0)) * 8;
  for (int i = axes.axes_size(); i-- > 0;) {
    planpb::AxisStride &stride = *whole.add_axis_strides();
    *stride.mutable_axis() = axes.axes(i);
    stride.set_bytes(bytes);
    planpb::AxisList one;
    *one.add_axes() = axes.axes(i);
    bytes *= sizeOf(one);
  }
  return whole;
}

planpb::Task &RankPlanBuilder::collective(planpb::Collective::Kind kind,
                                          const planpb::AxisList &group, const planpb::View &input,
                                          const planpb::View &output, uint32_t stream) {
  planpb::Task &task = *program().mutable_segments()->rbegin()->add_tasks();
  task.set_stream(stream);
  task.set_location("test");
  planpb::Collective &result = *task.mutable_collective();
  result.set_kind(kind);
  *result.mutable_group() = group;
  *result.mutable_input() = input;
  *result.mutable_output() = output;
  result.set_sequence(++sequence);
  uint32_t size = sizeOf(group);
  for (uint32_t i = 0; i < size && kind == planpb::Collective::PERMUTE; ++i)
    result.add_sources((i + 1) % size);
  return task;
}

} // namespace deepshard::runtime::test
