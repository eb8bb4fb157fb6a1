//===- Strided.cpp - places of values in buffers ----------------------------------------------===//

#include "passes/plan/Strided.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace deepshard {

plan::ViewType Strided::type() const {
  return plan::ViewType::get(elementType.getContext(), shape, elementType, strides);
}

std::optional<Strided> reshaped(const Strided &x, ArrayRef<int64_t> shape) {
  Strided result = x;
  result.shape.assign(shape.begin(), shape.end());
  result.strides.assign(shape.size(), 0);
  // Walk both shapes from the right. A run of dimensions of x that is contiguous in itself (each
  // stride is the next one's stride times size) may be cut anew; a dimension of the result must lie
  // inside one run.
  size_t to = shape.size();
  for (size_t from = x.shape.size(); from > 0;) {
    size_t first = from - 1;
    int64_t run = x.shape[first], stride = x.strides[first];
    while (first > 0 &&
           (x.shape[first - 1] == 1 || run == 1 || x.strides[first - 1] == run * stride)) {
      if (run == 1)
        stride = x.strides[first - 1];
      run *= x.shape[--first];
    }
    from = first;
    int64_t covered = 1;
    while (to > 0 && (covered < run || shape[to - 1] == 1)) {
      --to;
      result.strides[to] = stride * covered;
      covered *= shape[to];
      if (run % covered != 0)
        return std::nullopt;
    }
    if (covered != run)
      return std::nullopt;
  }
  for (size_t i = 0; i < shape.size(); ++i)
    if (i < to && shape[i] != 1)
      return std::nullopt;
  return result;
}

Strided broadcastTo(const Strided &x, ArrayRef<int64_t> shape) {
  Strided result = x;
  result.shape.assign(shape.begin(), shape.end());
  result.strides.assign(shape.size(), 0);
  size_t lead = shape.size() - x.shape.size();
  for (size_t i = 0; i < x.shape.size(); ++i)
    if (x.shape[i] == shape[lead + i] && shape[lead + i] != 1)
      result.strides[lead + i] = x.strides[i];
  return result;
}

static Strided transposed(const Strided &x, ArrayRef<int64_t> permutation) {
  Strided result = x;
  for (auto [i, from] : llvm::enumerate(permutation)) {
    result.shape[i] = x.shape[from];
    result.strides[i] = x.strides[from];
  }
  return result;
}

static Strided sliced(const Strided &x, graph::SliceOp slice) {
  Strided result = x;
  result.shape.assign(slice.getType().getShape().begin(), slice.getType().getShape().end());
  for (size_t i = 0; i < x.shape.size(); ++i) {
    result.offset += slice.getStarts()[i] * x.strides[i] * plan::elementBytes(x.elementType);
    result.strides[i] = x.strides[i] * slice.getStrides()[i];
  }
  return result;
}

static Strided spread(const Strided &x, graph::BroadcastOp broadcast) {
  Strided result = x;
  ArrayRef<int64_t> shape = broadcast.getType().getShape();
  result.shape.assign(shape.begin(), shape.end());
  result.strides.assign(shape.size(), 0);
  for (auto [i, dim] : llvm::enumerate(broadcast.getDims()))
    if (x.shape[i] == shape[dim] && shape[dim] != 1)
      result.strides[dim] = x.strides[i];
  return result;
}

bool isViewLike(Operation *op) {
  return isa<graph::ReshapeOp, graph::TransposeOp, graph::BroadcastOp, graph::SliceOp>(op);
}

std::optional<Strided> viewOf(Operation *op, const Strided &x) {
  return llvm::TypeSwitch<Operation *, std::optional<Strided>>(op)
      .Case([&](graph::ReshapeOp reshape) { return reshaped(x, reshape.getType().getShape()); })
      .Case([&](graph::TransposeOp transpose) { return transposed(x, transpose.getPermutation()); })
      .Case([&](graph::SliceOp slice) { return sliced(x, slice); })
      .Case([&](graph::BroadcastOp broadcast) { return spread(x, broadcast); })
      .Default([](Operation *) { return std::nullopt; });
}

} // namespace deepshard
