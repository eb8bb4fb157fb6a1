//===- Mesh.cpp - coordinates of ranks --------------------------------------------------------===//

#include "runtime/plan/Mesh.h"

#include <fmt/format.h>

#include <limits>
#include <set>

namespace deepshard::runtime {

/// Ranks are numbered with ints.
static constexpr uint64_t kMostRanks = std::numeric_limits<int32_t>::max();

std::optional<std::string> Mesh::faultOf(const planpb::Mesh &axes) {
  std::set<std::string> names;
  uint64_t ranks = 1;
  for (const planpb::MeshAxis &axis : axes.axes()) {
    if (axis.name().empty() || !names.insert(axis.name()).second)
      return fmt::format("its axis '{}' has no name or one that occurs twice", axis.name());
    if (axis.size() == 0)
      return fmt::format("its axis {} has the size 0", axis.name());
    ranks *= axis.size(); // both below 2^32
    if (ranks > kMostRanks)
      return fmt::format("it has more than {} ranks", kMostRanks);
  }
  return std::nullopt;
}

Mesh::Mesh(const planpb::Mesh &axes) : axes(axes), strides(axes.axes_size()) {
  for (int i = axes.axes_size(); i-- > 0;) {
    strides[i] = rankCount;
    rankCount *= axes.axes(i).size();
  }
}

std::optional<std::string> Mesh::faultOf(const planpb::AxisRef &axis) const {
  if (axis.axis() >= static_cast<uint32_t>(axes.axes_size()))
    return fmt::format("axis {} of {} does not exist", axis.axis(), axes.axes_size());
  uint32_t size = axes.axes(static_cast<int>(axis.axis())).size();
  if (axis.size() == 0 && axis.pre_size() == 0)
    return std::nullopt;
  uint64_t covered = uint64_t{axis.pre_size()} * axis.size();
  if (covered == 0 || size % covered != 0)
    return fmt::format("the part ({}){} of axis {} does not divide its size {}", axis.pre_size(),
                       axis.size(), axes.axes(static_cast<int>(axis.axis())).name(), size);
  return std::nullopt;
}

std::optional<std::string> Mesh::faultOf(const planpb::AxisList &list) const {
  for (int i = 0; i < list.axes_size(); ++i) {
    if (auto fault = faultOf(list.axes(i)))
      return fault;
    for (int j = 0; j < i; ++j)
      if (overlap(list.axes(i), list.axes(j)))
        return fmt::format("axes {} and {} overlap", text(list.axes(j)), text(list.axes(i)));
  }
  return std::nullopt;
}

Digit Mesh::digit(const planpb::AxisRef &axis) const {
  uint64_t stride = strides[axis.axis()];
  uint64_t whole = axes.axes(static_cast<int>(axis.axis())).size();
  if (axis.size() == 0)
    return {whole, stride};
  return {axis.size(), stride * (whole / (uint64_t{axis.pre_size()} * axis.size()))};
}

std::vector<Digit> Mesh::digits(const planpb::AxisList &list) const {
  std::vector<Digit> result;
  for (const planpb::AxisRef &axis : list.axes()) {
    Digit next = digit(axis);
    if (next.size == 1)
      continue;
    if (!result.empty() && result.back().stride == next.size * next.stride)
      result.back() = {result.back().size * next.size, next.stride};
    else
      result.push_back(next);
  }
  return result;
}

uint64_t Mesh::parts(const planpb::AxisList &list) const {
  uint64_t count = 1;
  for (const planpb::AxisRef &axis : list.axes())
    count *= digit(axis).size;
  return count;
}

uint64_t Mesh::part(const planpb::AxisList &list, uint64_t rank) const {
  uint64_t index = 0;
  for (const planpb::AxisRef &axis : list.axes()) {
    Digit place = digit(axis);
    index = index * place.size + place.of(rank);
  }
  return index;
}

std::vector<int> Mesh::group(const planpb::AxisList &list, uint64_t rank) const {
  uint64_t first = rank;
  for (const planpb::AxisRef &axis : list.axes())
    first -= digit(axis).of(rank) * digit(axis).stride;
  std::vector<int> members = {static_cast<int>(first)};
  for (const planpb::AxisRef &axis : list.axes()) {
    Digit place = digit(axis);
    std::vector<int> finer;
    for (int member : members)
      for (uint64_t i = 0; i < place.size; ++i)
        finer.push_back(member + static_cast<int>(i * place.stride));
    members = std::move(finer);
  }
  return members;
}

uint64_t Mesh::shift(const planpb::View &view, uint64_t rank) const {
  uint64_t bytes = 0;
  for (const planpb::AxisStride &stride : view.axis_strides())
    bytes += digit(stride.axis()).of(rank) * stride.bytes();
  return bytes;
}

std::optional<uint64_t> Mesh::largestShift(const planpb::View &view) const {
  uint64_t bytes = 0;
  for (const planpb::AxisStride &stride : view.axis_strides()) {
    uint64_t step = 0;
    if (__builtin_mul_overflow(digit(stride.axis()).size - 1, stride.bytes(), &step) ||
        __builtin_add_overflow(bytes, step, &bytes) ||
        bytes > uint64_t{std::numeric_limits<int64_t>::max()})
      return std::nullopt;
  }
  return bytes;
}

/// An axis of n ranks is a number whose factors are cut at pre_size and pre_size * size: parts
/// share no coordinate if one ends where the other has not begun, and its end divides that begin.
bool Mesh::overlap(const planpb::AxisRef &a, const planpb::AxisRef &b) const {
  if (a.axis() != b.axis() || digit(a).size == 1 || digit(b).size == 1)
    return false;
  auto end = [&](const planpb::AxisRef &axis) -> uint64_t {
    return axis.size() == 0 ? axes.axes(static_cast<int>(axis.axis())).size()
                            : uint64_t{axis.pre_size()} * axis.size();
  };
  auto begin = [](const planpb::AxisRef &axis) -> uint64_t {
    return axis.size() == 0 ? 1 : axis.pre_size();
  };
  return begin(b) % end(a) != 0 && begin(a) % end(b) != 0;
}

bool Mesh::overlap(const planpb::AxisList &a, const planpb::AxisList &b) const {
  for (const planpb::AxisRef &one : a.axes())
    for (const planpb::AxisRef &other : b.axes())
      if (overlap(one, other))
        return true;
  return false;
}

std::string Mesh::text(const planpb::AxisRef &axis) const {
  const std::string &name = axes.axes(static_cast<int>(axis.axis())).name();
  return axis.size() == 0 ? name : fmt::format("{}:({}){}", name, axis.pre_size(), axis.size());
}

std::string Mesh::text(const planpb::AxisList &list) const {
  std::string result;
  for (const planpb::AxisRef &axis : list.axes())
    result += (result.empty() ? "" : ", ") + text(axis);
  return result.empty() ? "none" : result;
}

} // namespace deepshard::runtime
