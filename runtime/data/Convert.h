//===- Convert.h - numbers of one type into numbers of another --------------------------------===//

#ifndef DEEPSHARD_RUNTIME_DATA_CONVERT_H
#define DEEPSHARD_RUNTIME_DATA_CONVERT_H

#include "runtime/kernels/Kernel.h"

#include <cstdint>
#include <limits>
#include <optional>

namespace deepshard::runtime {

/// F32, F64, BF16 and F16 are floating; all others, I1 included, are not.
bool isFloating(DType dtype);

/// Whether `convertNumbers` takes this pair: floating to floating, integer to integer.
bool isConvertible(DType from, DType to);

/// What integers may be, beyond what their type holds.
struct ValueRange {
  int64_t lowest = std::numeric_limits<int64_t>::min();
  int64_t highest = std::numeric_limits<int64_t>::max();
  std::optional<int64_t> alsoAllowed;
};

/// Converts `count` numbers, reading every `fromStride`th and writing every `toStride`th. Floating
/// numbers round to nearest even. Returns the index of the first integer outside `range` or the
/// target type, -1 if there is none.
int64_t convertNumbers(DType from, const void *source, int64_t fromStride, DType to, void *target,
                       int64_t toStride, int64_t count, const ValueRange &range = {});

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_DATA_CONVERT_H
