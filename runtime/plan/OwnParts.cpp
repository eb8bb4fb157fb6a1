//===- OwnParts.cpp - what each rank has written of its own part ------------------------------===//

#include "runtime/plan/OwnParts.h"

#include <algorithm>
#include <iterator>

namespace deepshard::runtime {

Shift normalised(Shift steps) {
  std::erase_if(steps, [](const ShiftStep &step) { return step.digit.size == 1 || !step.bytes; });
  std::sort(steps.begin(), steps.end(), [](const ShiftStep &a, const ShiftStep &b) {
    return a.digit.stride != b.digit.stride ? a.digit.stride > b.digit.stride : a < b;
  });
  Shift result;
  for (const ShiftStep &step : steps) {
    ShiftStep *coarser = result.empty() ? nullptr : &result.back();
    if (coarser && coarser->digit.stride == step.digit.stride * step.digit.size &&
        coarser->bytes == step.bytes * step.digit.size)
      *coarser = {{coarser->digit.size * step.digit.size, step.digit.stride}, step.bytes};
    else
      result.push_back(step);
  }
  return result;
}

Shift shiftOf(const Mesh &mesh, const planpb::View &view) {
  Shift steps;
  for (const planpb::AxisStride &stride : view.axis_strides())
    steps.push_back({mesh.digit(stride.axis()), stride.bytes()});
  return normalised(std::move(steps));
}

bool overlap(const Digit &a, const Digit &b) {
  if (a.size == 1 || b.size == 1)
    return false;
  return a.stride % (b.stride * b.size) != 0 && b.stride % (a.stride * a.size) != 0;
}

void OwnParts::Places::split(uint64_t where) {
  auto after = at.upper_bound(where);
  if (after == at.begin())
    return;
  auto before = std::prev(after);
  if (before->first == where || before->second.end <= where)
    return;
  Place rest = before->second;
  before->second.end = where;
  at.emplace_hint(after, where, rest);
}

void OwnParts::write(const Access &access, uint32_t call) {
  Places &places = arenas[access.arena][access.shift];
  places.largestShift = access.largestShift;
  places.split(access.begin);
  places.split(access.end);
  places.at.erase(places.at.lower_bound(access.begin), places.at.lower_bound(access.end));
  places.at[access.begin] = {access.end, access.owner, call};
}

void OwnParts::overwrite(const Access &access) {
  for (auto &[shift, places] : arenas[access.arena]) {
    uint64_t begin = access.begin - std::min(access.begin, places.largestShift);
    places.split(begin);
    places.split(access.reachEnd());
    auto place = places.at.lower_bound(begin);
    while (place != places.at.end() && place->first < access.reachEnd())
      place = place->second.owner == access.owner ? std::next(place) : places.at.erase(place);
  }
}

bool OwnParts::cover(const Access &access, uint64_t begin, uint64_t end,
                     const uint32_t *call) const {
  auto places = arenas[access.arena].find(access.shift);
  if (places == arenas[access.arena].end())
    return false;
  uint64_t needed = std::max(access.begin, begin - std::min(begin, access.largestShift));
  end = std::min(access.end, end);
  auto place = places->second.at.upper_bound(needed);
  if (place == places->second.at.begin())
    return needed >= end;
  for (--place; needed < end; ++place) {
    if (place == places->second.at.end() || place->first > needed || place->second.end <= needed ||
        place->second.owner != access.owner || (call && place->second.call != *call))
      return false;
    needed = place->second.end;
  }
  return true;
}

} // namespace deepshard::runtime
