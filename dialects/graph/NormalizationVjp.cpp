//===- NormalizationVjp.cpp - gradients of softmax, layer norm and the loss -------------------===//

#include "dialects/graph/Graph.h"
#include "dialects/graph/VjpBuilder.h"

using namespace mlir;

namespace deepshard::graph {

LogicalResult SoftmaxOp::buildVjp(VjpBuilder &vjp) {
  vjp.add(0, vjp.make<SoftmaxGradOp>(vjp.cotangent(0), getY(), getDimAttr()));
  return success();
}

LogicalResult LayerNormOp::buildVjp(VjpBuilder &vjp) {
  if (vjp.cotangent(1) || vjp.cotangent(2))
    return emitOpError("has no gradient through 'mean' and 'rstd', and the loss depends on one of "
                       "them; compute the "
                       "statistics with reductions instead");
  auto grad = LayerNormGradOp::create(vjp.builder(), vjp.location(), vjp.cotangent(0), getX(),
                                      getWeight(), getMean(), getRstd());
  for (auto [operand, gradient] : llvm::enumerate(grad->getResults()))
    vjp.add(operand, gradient);
  return success();
}

/// The count of rows is piecewise constant: nothing flows through it.
LogicalResult CrossEntropyOp::buildVjp(VjpBuilder &vjp) {
  if (vjp.cotangent(2))
    return emitOpError("has no gradient through 'lse', and the loss depends on it; compute it with "
                       "exp, reduce_sum and "
                       "log instead");
  if (Value dloss = vjp.cotangent(0))
    vjp.add(0, vjp.make<CrossEntropyGradOp>(getLogits(), getTarget(), getLse(), dloss,
                                            getIgnoreIndexAttr()));
  return success();
}

} // namespace deepshard::graph
