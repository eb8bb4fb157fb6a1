//===- Costs.cpp - work of ops whose arithmetic is counted from their formula -----------------===//

#include "dialects/graph/Graph.h"

using namespace mlir;

namespace deepshard::graph {

static int64_t bytesOf(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  int64_t bits = tensor.getElementTypeBitWidth();
  return tensor.getNumElements() * (bits < 8 ? 1 : bits / 8);
}

OpCost elementwiseCost(Operation *op) {
  OpCost cost;
  for (Type type : op->getOperandTypes())
    cost.bytesRead += bytesOf(type);
  for (Type type : op->getResultTypes()) {
    cost.bytesWritten += bytesOf(type);
    cost.flops += cast<RankedTensorType>(type).getNumElements();
  }
  return cost;
}

/// `perElement` operations on each element of `type`; operands read and results written once.
static OpCost costPerElement(Operation *op, Value value, int64_t perElement) {
  OpCost cost = elementwiseCost(op);
  cost.flops = perElement * cast<RankedTensorType>(value.getType()).getNumElements();
  return cost;
}

OpCost ReduceSumOp::getCost() { return costPerElement(*this, getX(), 1); }
OpCost ReduceMaxOp::getCost() { return costPerElement(*this, getX(), 1); }
OpCost ReduceMinOp::getCost() { return costPerElement(*this, getX(), 1); }
// Maximum, subtraction, exponential, sum.
OpCost ReduceLogSumExpOp::getCost() { return costPerElement(*this, getX(), 4); }

// erf form: scale, erf, add, two multiplications. tanh form: x^2, two for the cubic, two scales,
// sigmoid of 3, product.
OpCost GeluOp::getCost() { return costPerElement(*this, getX(), getTanh() ? 9 : 5); }
OpCost GeluGradOp::getCost() { return costPerElement(*this, getX(), getTanh() ? 18 : 11); }

// Maximum, subtraction, exponential, sum, division.
OpCost SoftmaxOp::getCost() { return costPerElement(*this, getX(), 5); }
// Product, sum, subtraction, product.
OpCost SoftmaxGradOp::getCost() { return costPerElement(*this, getY(), 4); }
// Two sums, subtraction, square, scale by rstd and weight, bias.
OpCost LayerNormOp::getCost() { return costPerElement(*this, getX(), 7); }
// n: 2, g: 1, two row sums with a product: 3, dx: 4, dweight: 2, dbias: 1.
OpCost LayerNormGradOp::getCost() { return costPerElement(*this, getX(), 13); }
// Maximum, subtraction, exponential, sum.
OpCost CrossEntropyOp::getCost() { return costPerElement(*this, getLogits(), 4); }
// Subtraction, exponential, subtraction of the target, scale.
OpCost CrossEntropyGradOp::getCost() { return costPerElement(*this, getLogits(), 4); }
OpCost CrossEntropyWithGradOp::getCost() { return costPerElement(*this, getLogits(), 5); }

} // namespace deepshard::graph
