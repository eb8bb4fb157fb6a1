//===- ConvolutionVjp.cpp - the gradients of convolution --------------------------------------===//

#include "dialects/graph/Graph.h"
#include "dialects/graph/VjpBuilder.h"

using namespace mlir;

namespace deepshard::graph {

LogicalResult ConvolutionOp::buildVjp(VjpBuilder &vjp) {
  constexpr size_t kFirstSpatial = 2; // behind batch and channels
  Value dy = vjp.cotangent(0);
  auto grad = [&]<typename Op>(Value other, RankedTensorType type, auto... more) {
    return vjp.make<Op>(dy, other, type.getShape().drop_front(kFirstSpatial), getStrides(),
                        getLow(), getHigh(), getDilations(), getGroups(), more...);
  };
  if (vjp.wants(0))
    vjp.add(0, grad.operator()<ConvolutionInputGradOp>(getWeight(), getX().getType()));
  if (vjp.wants(1))
    vjp.add(1, grad.operator()<ConvolutionWeightGradOp>(getX(), getWeight().getType(),
                                                        vjp.accumulatedType(1, getWeight())));
  return success();
}

} // namespace deepshard::graph
