//===- Mesh.h - coordinates of ranks ----------------------------------------------------------===//
//
// A rank's number is the row-major index of its coordinates. A named axis, or a part of one, is
// therefore a *digit* of the number in mixed radix: coordinate = rank / stride mod size. Example, a
// mesh "data" = 8, "tensor" = 2:
//
//   "data"          size 8, stride 2
//   "data":(1)2     size 2, stride 8     the outer halves
//   "data":(2)4     size 4, stride 2     inside a half
//   "tensor"        size 2, stride 1
//
// Everything about axes is arithmetic on digits, in time O(axes named).
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_PLAN_MESH_H
#define DEEPSHARD_RUNTIME_PLAN_MESH_H

#include "runtime/plan/plan.pb.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace deepshard::runtime {

/// A coordinate of ranks: rank / stride mod size.
struct Digit {
  uint64_t size = 1;
  uint64_t stride = 1;
  uint64_t of(uint64_t rank) const { return rank / stride % size; }
  auto operator<=>(const Digit &) const = default;
};

/// The grid of ranks. All functions but the faults want lists that have none.
class Mesh {
public:
  /// The mesh of a plan; a plan without one has one rank. `axes` must have no fault.
  explicit Mesh(const planpb::Mesh &axes);

  /// What is wrong with the axes; nothing if they are sound. At most 2^31 - 1 ranks are.
  static std::optional<std::string> faultOf(const planpb::Mesh &axes);

  /// What is wrong with an axis or a list: axes that do not exist, parts that do not divide, axes
  /// that occur twice. Nothing if it is sound.
  std::optional<std::string> faultOf(const planpb::AxisRef &axis) const;
  std::optional<std::string> faultOf(const planpb::AxisList &list) const;

  /// Number of ranks.
  uint64_t ranks() const { return rankCount; }

  Digit digit(const planpb::AxisRef &axis) const;
  /// The digits of a list, major to minor, without those of size 1; neighbours that are one digit
  /// together are joined. Lists that cut alike have equal digits.
  std::vector<Digit> digits(const planpb::AxisList &list) const;

  /// Number of parts that a list cuts into, at least 1.
  uint64_t parts(const planpb::AxisList &list) const;
  /// The part of a rank: the row-major index of its coordinates in the list.
  uint64_t part(const planpb::AxisList &list, uint64_t rank) const;
  /// The ranks that differ from `rank` only in the coordinates that the list names, in the order of
  /// their parts.
  std::vector<int> group(const planpb::AxisList &list, uint64_t rank) const;

  /// Bytes that `axis_strides` add to the offset of a view.
  uint64_t shift(const planpb::View &view, uint64_t rank) const;
  /// The most that `shift` is on any rank; nothing if that leaves 63 bits.
  std::optional<uint64_t> largestShift(const planpb::View &view) const;

  /// Whether two axes have a coordinate in common, so that one cannot change without the other.
  bool overlap(const planpb::AxisRef &a, const planpb::AxisRef &b) const;
  /// Whether any axis of one list overlaps one of the other.
  bool overlap(const planpb::AxisList &a, const planpb::AxisList &b) const;

  /// "data", "data:(1)2": for people.
  std::string text(const planpb::AxisRef &axis) const;
  /// "data, tensor"; "none" for an empty list.
  std::string text(const planpb::AxisList &list) const;

private:
  planpb::Mesh axes;
  std::vector<uint64_t> strides;
  uint64_t rankCount = 1;
};

/// The axes that cut dimension `dim` of an input.
inline planpb::AxisList axesOf(const planpb::Input &input, int dim) {
  return dim < input.layout().dims_size() ? input.layout().dims(dim) : planpb::AxisList();
}

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_PLAN_MESH_H
