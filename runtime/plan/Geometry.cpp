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

/// From the last dimension on, dimensions that lie behind one another without a gap form a block;
/// the new dimensions must fill block after block.
std::optional<std::vector<int64_t>> stridesAs(const std::vector<int64_t> &shape,
                                              const std::vector<int64_t> &strides,
                                              const std::vector<int64_t> &newShape) {
  std::vector<int64_t> result(newShape.size(), 1);
  auto isEmpty = [](int64_t size) { return size == 0; };
  bool hasNone = std::any_of(shape.begin(), shape.end(), isEmpty);
  if (hasNone != std::any_of(newShape.begin(), newShape.end(), isEmpty))
    return std::nullopt;
  size_t next = hasNone ? 0 : newShape.size(); // new dimensions that have no stride yet
  size_t left = hasNone ? 0 : shape.size();
  while (left > 0) {
    int64_t base = strides[left - 1];
    int64_t block = shape[--left];
    while (left > 0 && (shape[left - 1] == 1 || strides[left - 1] == block * base))
      block *= shape[--left];
    int64_t filled = 1;
    while (next > 0 && (filled < block || newShape[next - 1] == 1)) {
      result[--next] = filled * base;
      filled *= newShape[next];
    }
    if (filled != block)
      return std::nullopt;
  }
  while (next > 0 && newShape[next - 1] == 1)
    --next;
  if (next > 0)
    return std::nullopt;
  return result;
}

uint64_t slotCount(const planpb::Program &program) {
  uint64_t count = 1;
  for (const planpb::SegmentCall &call : program.schedule())
    count = std::max<uint64_t>(count, uint64_t{call.slot()} + 1);
  return count;
}

} // namespace deepshard::runtime
