//===- Geometry.h - how many bytes a view touches ---------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_PLAN_GEOMETRY_H
#define DEEPSHARD_RUNTIME_PLAN_GEOMETRY_H

#include "runtime/plan/plan.pb.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace deepshard::runtime {

/// Bytes of one element; 0 for an unspecified or unknown type.
uint64_t elementBytes(planpb::DType dtype);

/// Elements of `shape`; nothing if a dimension is negative or the product leaves 63 bits.
std::optional<uint64_t> elementCount(const google::protobuf::RepeatedField<int64_t> &shape);

/// Elements from the first to one past the last of a strided window: 0 if it is empty, else
/// 1 + sum (shape[i] - 1) * strides[i]. Nothing if ranks differ, a number is negative or the result
/// leaves 63 bits.
std::optional<uint64_t> elementSpan(const google::protobuf::RepeatedField<int64_t> &shape,
                                    const google::protobuf::RepeatedField<int64_t> &strides);

/// The same in bytes for a view.
std::optional<uint64_t> byteSpan(const planpb::View &view);

/// Strides that show a strided window of `shape` as one of `newShape`, element for element in
/// row-major order; nothing if there are none or the numbers of elements differ. Neither shape has
/// more than 63 bits of elements.
std::optional<std::vector<int64_t>> stridesAs(const std::vector<int64_t> &shape,
                                              const std::vector<int64_t> &strides,
                                              const std::vector<int64_t> &newShape);

/// Number of slots that the schedule of `program` uses, at least 1.
uint64_t slotCount(const planpb::Program &program);

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_PLAN_GEOMETRY_H
