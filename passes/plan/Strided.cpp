//===- Strided.cpp - places of values in buffers ----------------------------------------------===//

#include "passes/plan/Strided.h"

#include "llvm/ADT/TypeSwitch.h"

#include <limits>

using namespace mlir;

namespace deepshard {

plan::ViewType Strided::type() const {
  return plan::ViewType::get(elementType.getContext(), shape, elementType, strides);
}

int64_t alignmentOf(const Strided &place) {
  return plan::alignmentOf(place.buffer.getDefiningOp<plan::BufferOp>(), place.offset,
                           place.axisStrides);
}

Value createView(OpBuilder &builder, Location location, const Strided &place) {
  return plan::ViewOp::create(builder, location, place.type(), place.buffer, place.offset,
                              place.axisStrides.empty() ? ArrayAttr()
                                                        : builder.getArrayAttr(place.axisStrides));
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

bool mayOverlap(const Strided &a, const Strided &b) {
  // Where a view with coordinates ends is not known here; its buffer bounds it.
  auto end = [](const Strided &x) {
    if (!x.axisStrides.empty())
      return std::numeric_limits<int64_t>::max();
    int64_t last = 0;
    for (auto [size, stride] : llvm::zip_equal(x.shape, x.strides))
      last += (size - 1) * stride;
    return x.offset + (last + 1) * plan::elementBytes(x.elementType);
  };
  return a.offset < end(b) && b.offset < end(a);
}

Strided partOf(const Strided &x, int64_t dim, sharding::GroupAttr group, sharding::MeshAttr mesh) {
  Strided result = x;
  result.shape[dim] /= mesh.sizeOf(group.getAxes());
  int64_t bytes = result.shape[dim] * x.strides[dim] * plan::elementBytes(x.elementType);
  // The part is the row-major index of the coordinates: the last axis moves by one part.
  for (sharding::AxisRefAttr axis : llvm::reverse(group.getAxes())) {
    result.axisStrides.push_back(plan::AxisStrideAttr::get(group.getContext(), axis, bytes));
    bytes *= mesh.sizeOf(axis);
  }
  return result;
}

bool movesInside(const Strided &x, sharding::GroupAttr group) {
  return llvm::any_of(x.axisStrides, [&](Attribute stride) {
    sharding::AxisRefAttr axis = cast<plan::AxisStrideAttr>(stride).getAxis();
    return llvm::any_of(group.getAxes(), [&](sharding::AxisRefAttr other) {
      return !sharding::canCoexist(axis, other);
    });
  });
}

bool isViewLike(Operation *op) { return graph::isView(op) || isa<sharding::LocalSliceOp>(op); }

std::optional<Strided> viewOf(Operation *op, const Strided &x) {
  return llvm::TypeSwitch<Operation *, std::optional<Strided>>(op)
      .Case([&](graph::ReshapeOp reshape) { return reshaped(x, reshape.getType().getShape()); })
      .Case([&](graph::TransposeOp transpose) { return transposed(x, transpose.getPermutation()); })
      .Case([&](graph::SliceOp slice) { return sliced(x, slice); })
      .Case([&](graph::BroadcastOp broadcast) { return spread(x, broadcast); })
      .Case([&](sharding::LocalSliceOp slice) {
        return partOf(x, slice.getDim(), slice.getGroup(),
                      sharding::lookupMesh(op, slice.getGroup().getMesh()));
      })
      .Default([](Operation *) { return std::nullopt; });
}

} // namespace deepshard
