//===- ContractionVjp.cpp - gradients of matmul and linear ------------------------------------===//

#include "dialects/graph/Graph.h"
#include "dialects/graph/VjpBuilder.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Sequence.h"

using namespace mlir;

namespace deepshard::graph {
namespace {

using Dims = SmallVector<int64_t>;

Dims range(int64_t begin, int64_t end) { return llvm::to_vector(llvm::seq(begin, end)); }

/// The dimensions of `rank` that are in neither list, ascending.
Dims freeDims(int64_t rank, ArrayRef<int64_t> batch, ArrayRef<int64_t> contract) {
  Dims free;
  for (int64_t dim : range(0, rank))
    if (!llvm::is_contained(batch, dim) && !llvm::is_contained(contract, dim))
      free.push_back(dim);
  return free;
}

int64_t rankOf(Value value) { return cast<RankedTensorType>(value.getType()).getRank(); }

/// One operand of a matmul, in the dimensions of the matmul's result: its batch dimensions lie at
/// 0, 1, ..., its free ones at `freeBegin`, ...
struct Side {
  Value value;
  Dims batch, contract, free;
  int64_t freeBegin;
};

/// `value` with dimension i moved to `places[i]`.
Value moveDims(VjpBuilder &vjp, Value value, ArrayRef<int64_t> places) {
  if (llvm::equal(places, range(0, places.size())))
    return value;
  Dims permutation(places.size());
  for (auto [from, to] : llvm::enumerate(places))
    permutation[to] = from;
  return vjp.make<TransposeOp>(value, permutation);
}

/// The cotangent of `self`: contracts dy with `other` over the free dimensions of `other`. What
/// remains of `other` are its contracted dimensions, which are those of `self`. Of the two orders
/// of the factors the one that needs no transposition is taken, if there is one.
Value contractBack(VjpBuilder &vjp, const Side &self, const Side &other, TypeAttr type) {
  Value dy = vjp.cotangent(0);
  Dims dyBatch = range(0, self.batch.size());
  Dims dyContract = range(other.freeBegin, other.freeBegin + other.free.size());
  // Where the remaining dimensions of `other`, ascending, belong in `self`.
  Dims contracted;
  for (int64_t dim : range(0, rankOf(other.value)))
    if (auto *it = llvm::find(other.contract, dim); it != other.contract.end())
      contracted.push_back(self.contract[it - other.contract.begin()]);

  Dims otherFirst = self.batch;
  llvm::append_range(otherFirst, contracted);
  llvm::append_range(otherFirst, self.free);
  if (llvm::is_sorted(otherFirst))
    return vjp.make<MatmulOp>(other.value, dy, other.batch, dyBatch, other.free, dyContract, type);
  Dims dyFirst = self.batch;
  llvm::append_range(dyFirst, self.free);
  llvm::append_range(dyFirst, contracted);
  Value product =
      vjp.make<MatmulOp>(dy, other.value, dyBatch, other.batch, dyContract, other.free, type);
  return moveDims(vjp, product, dyFirst);
}

} // namespace

LogicalResult MatmulOp::buildVjp(VjpBuilder &vjp) {
  Side lhs{getLhs(), Dims(getLhsBatch()), Dims(getLhsContract()),
           freeDims(rankOf(getLhs()), getLhsBatch(), getLhsContract()),
           int64_t(getLhsBatch().size())};
  Side rhs{getRhs(), Dims(getRhsBatch()), Dims(getRhsContract()),
           freeDims(rankOf(getRhs()), getRhsBatch(), getRhsContract()),
           lhs.freeBegin + int64_t(lhs.free.size())};
  if (vjp.wants(0))
    vjp.add(0, contractBack(vjp, lhs, rhs, vjp.accumulatedType(0, getLhs())));
  if (vjp.wants(1))
    vjp.add(1, contractBack(vjp, rhs, lhs, vjp.accumulatedType(1, getRhs())));
  return success();
}

/// dx = dy W^T; dW contracts all leading dimensions and lies as W does; db sums dy over them.
LogicalResult LinearOp::buildVjp(VjpBuilder &vjp) {
  Value dy = vjp.cotangent(0);
  int64_t rows = rankOf(getX()) - 1, columns = rankOf(getWeight()) - 1;
  Dims leading = range(0, rows), none;
  if (vjp.wants(0)) {
    int64_t first = getTransposeWeight() ? 0 : 1;
    vjp.add(0, vjp.make<MatmulOp>(dy, getWeight(), none, none, range(rows, rows + columns),
                                  range(first, first + columns), vjp.accumulatedType(0, getX())));
  }
  if (vjp.wants(1)) {
    Value first = getTransposeWeight() ? dy : getX(), second = getTransposeWeight() ? getX() : dy;
    vjp.add(1, vjp.make<MatmulOp>(first, second, none, none, leading, leading,
                                  vjp.accumulatedType(1, getWeight())));
  }
  if (getBias() && vjp.wants(2)) {
    Value wide = vjp.convert(dy, vjp.gradientType(2));
    vjp.add(2, vjp.make<ReduceSumOp>(wide, leading, /*keep_dims=*/false));
  }
  return success();
}

} // namespace deepshard::graph
