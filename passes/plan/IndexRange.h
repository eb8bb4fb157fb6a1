//===- IndexRange.h - what numbers an input may hold ------------------------------------------===//

#ifndef DEEPSHARD_PASSES_PLAN_INDEXRANGE_H
#define DEEPSHARD_PASSES_PLAN_INDEXRANGE_H

#include "mlir/IR/Value.h"

#include <cstdint>
#include <optional>

namespace deepshard {

/// 0 .. bound - 1, and `ignored`.
struct IndexRange {
  int64_t bound = 0;
  std::optional<int64_t> ignored;

  bool contains(int64_t number) const {
    return (number >= 0 && number < bound) || number == ignored;
  }
};

/// What every use of `indices` takes: as rows of a table (embedding), places along a dimension
/// (gather) or classes (cross entropy, whose `ignore_index` is allowed too). Looks through ops that
/// only move or widen the numbers, and through select(x != c, x, other), which ignores c. Nothing
/// if the numbers index nothing.
std::optional<IndexRange> indexRangeOf(mlir::Value indices);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLAN_INDEXRANGE_H
