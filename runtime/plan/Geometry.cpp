//===- Geometry.cpp - how many bytes a view touches -------------------------------------------===//

#include "runtime/plan/Geometry.h"

#include <algorithm>
#include <limits>

namespace deepshard::runtime {

using google::protobuf::RepeatedField;

static constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();

uint64_t elementBytes(planpb::DType dtype) {
  switch (dtype) {
  case planpb::F64:
  case planpb::I64:
    return 8;
  case planpb::F32:
  case planpb::I32:
    return 4;
  case planpb::BF16:
  case planpb::F16:
  case planpb::U16:
    return 2;
  case planpb::I8:
  case planpb::I1:
  case planpb::U8:
    return 1;
  default:
    return 0;
  }
}

std::optional<uint64_t> elementCount(const RepeatedField<int64_t> &shape) {
  uint64_t count = 1;
  for (int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(count, static_cast<uint64_t>(size), &count) ||
        count > kMost)
      return std::nullopt;
  }
  return count;
}

std::optional<uint64_t> elementSpan(const RepeatedField<int64_t> &shape,
                                    const RepeatedField<int64_t> &strides) {
  std::optional<uint64_t> count = elementCount(shape);
  if (!count || shape.size() != strides.size())
    return std::nullopt;
  uint64_t span = *count == 0 ? 0 : 1;
  for (int i = 0; i < shape.size(); ++i) {
    if (strides[i] < 0)
      return std::nullopt;
    uint64_t step = 0;
    if (*count > 0 && (__builtin_mul_overflow(static_cast<uint64_t>(shape[i] - 1),
                                              static_cast<uint64_t>(strides[i]), &step) ||
                       __builtin_add_overflow(span, step, &span) || span > kMost))
      return std::nullopt;
  }
  return span;
}

std::optional<uint64_t> byteSpan(const planpb::View &view) {
  std::optional<uint64_t> span = elementSpan(view.shape(), view.strides());
  uint64_t bytes = 0;
  if (!span || __builtin_mul_overflow(*span, elementBytes(view.dtype()), &bytes) || bytes > kMost)
    return std::nullopt;
  return bytes;
}

uint64_t slotCount(const planpb::Program &program) {
  uint64_t count = 1;
  for (const planpb::SegmentCall &call : program.schedule())
    count = std::max<uint64_t>(count, uint64_t{call.slot()} + 1);
  return count;
}

} // namespace deepshard::runtime
