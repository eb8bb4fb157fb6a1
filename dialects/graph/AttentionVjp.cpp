//===- AttentionVjp.cpp - the gradient of attention -------------------------------------------===//

#include "dialects/graph/Graph.h"
#include "dialects/graph/VjpBuilder.h"

using namespace mlir;

namespace deepshard::graph {

/// The probabilities are computed again from q, k and lse; o gives the sum that softmax's gradient
/// subtracts.
LogicalResult AttentionOp::buildVjp(VjpBuilder &vjp) {
  if (vjp.cotangent(1))
    return emitOpError("has no gradient through 'lse', and the loss depends on it");
  constexpr unsigned kMaskOperand = 3;
  if (getMask() && vjp.wants(kMaskOperand))
    return emitOpError("has no gradient for 'mask', and a parameter flows into it; write the "
                       "attention as matmul and "
                       "softmax instead");
  auto grad = AttentionGradOp::create(vjp.builder(), vjp.location(), vjp.cotangent(0), getQ(),
                                      getK(), getV(), getO(), getLse(), getMask(), getCounter(),
                                      getOffsets(), getDiagonal(), getScaleAttr(), getCausalAttr(),
                                      getDropoutAttr(), getIdAttr(), getGlobalShapeAttr());
  for (auto [operand, gradient] : llvm::enumerate(grad->getResults()))
    vjp.add(operand, gradient);
  return success();
}

} // namespace deepshard::graph
