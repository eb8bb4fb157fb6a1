//===- LayoutVjp.cpp - gradients of layout ops: their adjoints --------------------------------===//

#include "dialects/graph/Graph.h"
#include "dialects/graph/VjpBuilder.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Sequence.h"

using namespace mlir;

namespace deepshard::graph {

using Dims = SmallVector<int64_t>;

LogicalResult ReshapeOp::buildVjp(VjpBuilder &vjp) {
  vjp.add(0, vjp.reshape(vjp.cotangent(0), cast<RankedTensorType>(getX().getType())));
  return success();
}

LogicalResult TransposeOp::buildVjp(VjpBuilder &vjp) {
  Dims inverse(getPermutation().size());
  for (auto [to, from] : llvm::enumerate(getPermutation()))
    inverse[from] = to;
  vjp.add(0, vjp.make<TransposeOp>(vjp.cotangent(0), inverse));
  return success();
}

/// Sums over the dimensions that are new or were repeated.
LogicalResult BroadcastOp::buildVjp(VjpBuilder &vjp) {
  auto type = cast<RankedTensorType>(getX().getType());
  auto result = cast<RankedTensorType>(getResult().getType());
  Dims repeated = llvm::to_vector(llvm::seq<int64_t>(0, result.getRank()));
  for (auto [from, to] : llvm::enumerate(getDims()))
    if (type.getDimSize(from) == result.getDimSize(to))
      llvm::erase(repeated, to);
  // As all sums of bf16 and f16, in f32.
  Type wide = accumulationType(type.getElementType());
  Value sum =
      vjp.make<ReduceSumOp>(vjp.convert(vjp.cotangent(0), wide), repeated, /*keep_dims=*/false);
  vjp.add(0, vjp.reshape(sum, type.clone(wide)));
  return success();
}

/// Puts the cotangent back to where the elements came from, zeros elsewhere.
LogicalResult SliceOp::buildVjp(VjpBuilder &vjp) {
  Value dy = vjp.cotangent(0);
  auto taken = cast<RankedTensorType>(dy.getType());
  if (taken.getNumElements() == 0)
    return success();
  auto type = cast<RankedTensorType>(getX().getType());
  Dims high, interior;
  for (int64_t dim : llvm::seq(type.getRank())) {
    int64_t last = getStarts()[dim] + (taken.getDimSize(dim) - 1) * getStrides()[dim];
    high.push_back(type.getDimSize(dim) - 1 - last);
    interior.push_back(getStrides()[dim] - 1);
  }
  vjp.add(0, vjp.make<PadOp>(dy, vjp.scalar(dy, 0), getStarts(), high, interior));
  return success();
}

/// Where x lies in the padded tensor, as the operands of a slice.
static Value sliceOfPad(VjpBuilder &vjp, PadOp pad, Value dy) {
  auto type = cast<RankedTensorType>(pad.getX().getType());
  Dims limits, strides;
  for (int64_t dim : llvm::seq(type.getRank())) {
    strides.push_back(pad.getInterior()[dim] + 1);
    limits.push_back(pad.getLow()[dim] +
                     std::max<int64_t>(0, (type.getDimSize(dim) - 1) * strides.back() + 1));
  }
  return vjp.make<SliceOp>(dy, pad.getLow(), limits, strides);
}

LogicalResult PadOp::buildVjp(VjpBuilder &vjp) {
  Value dy = vjp.cotangent(0);
  if (vjp.wants(0))
    vjp.add(0, sliceOfPad(vjp, *this, dy));
  if (vjp.wants(1)) {
    // The sum over what is padding: padding true around false says where that is.
    Type flag = vjp.builder().getI1Type();
    Value inside =
        vjp.splat(cast<RankedTensorType>(cast<RankedTensorType>(getX().getType()).clone(flag)), 0);
    Value outside = vjp.make<PadOp>(inside, vjp.splat(RankedTensorType::get({}, flag), 1), getLow(),
                                    getHigh(), getInterior());
    vjp.add(1, vjp.make<SelectOp>(outside, dy, vjp.scalar(dy, 0)));
  }
  return success();
}

LogicalResult ConcatOp::buildVjp(VjpBuilder &vjp) {
  Value dy = vjp.cotangent(0);
  auto type = cast<RankedTensorType>(dy.getType());
  Dims starts(type.getRank(), 0), limits(type.getShape()), ones(type.getRank(), 1);
  int64_t dim = getDim();
  limits[dim] = 0;
  for (auto [index, operand] : llvm::enumerate(getOperands())) {
    starts[dim] = limits[dim];
    limits[dim] += cast<RankedTensorType>(operand.getType()).getDimSize(dim);
    if (vjp.wants(index))
      vjp.add(index, vjp.make<SliceOp>(dy, starts, limits, ones));
  }
  return success();
}

} // namespace deepshard::graph
