//===- Activations.cpp - nonlinearities and dropout -------------------------------------------===//

#include "frontends/torchscript/convert/AtenOp.h"

using namespace mlir;
using namespace deepshard;
using namespace deepshard::torchscript;

namespace {

Value zeroLike(AtenOp &op, Value x) { return op.b.scalarLike(x, 0); }

LogicalResult relu(AtenOp &op) {
  Value x = op.tensor("self");
  return op.set(op.maximum(x, zeroLike(op, x)));
}

LogicalResult relu6(AtenOp &op) {
  Value x = op.tensor("self");
  return op.set(op.minimum(op.maximum(x, zeroLike(op, x)), op.b.scalarLike(x, 6)));
}

LogicalResult hardtanh(AtenOp &op) {
  Value x = op.tensor("self");
  Value low = op.b.scalarLike(x, op.number("min_val", -1)),
        high = op.b.scalarLike(x, op.number("max_val", 1));
  return op.set(op.minimum(op.maximum(x, low), high));
}

LogicalResult leakyRelu(AtenOp &op) {
  Value x = op.tensor("self");
  Value negative = op.b.mul(x, op.number("negative_slope", 0.01));
  return op.set(op.b.select(op.b.compare("gt", x, zeroLike(op, x)), x, negative));
}

LogicalResult elu(AtenOp &op) {
  Value x = op.tensor("self");
  // The exponential sees no positive argument: its gradient must stay finite where it is not taken.
  Value below = op.minimum(op.b.mul(x, op.number("input_scale", 1)), zeroLike(op, x));
  Value negative =
      op.b.mul(op.b.add(op.b.exp(below), -1.0), op.number("alpha", 1) * op.number("scale", 1));
  Value positive = op.b.mul(x, op.number("scale", 1));
  return op.set(op.b.select(op.b.compare("gt", x, zeroLike(op, x)), positive, negative));
}

LogicalResult silu(AtenOp &op) {
  Value x = op.tensor("self");
  return op.set(op.b.mul(x, op.b.sigmoid(x)));
}

LogicalResult gelu(AtenOp &op) {
  Value x = op.tensor("self");
  return op.set(graph::GeluOp::create(op.builder, op.location, x.getType(), x,
                                      op.string("approximate") == "tanh"));
}

/// log(1 + e^z) = max(z, 0) + log(1 + e^-|z|): no overflow.
Value softplusOf(AtenOp &op, Value z) {
  Value tail = op.b.log(op.b.add(op.b.exp(op.b.neg(op.abs(z))), 1.0));
  return op.b.add(op.maximum(z, zeroLike(op, z)), tail);
}

LogicalResult softplus(AtenOp &op) {
  Value x = op.tensor("self");
  Value scaled = op.b.mul(x, op.number("beta", 1));
  Value soft = op.b.div(softplusOf(op, scaled), op.number("beta", 1));
  Value linear = op.b.compare("gt", scaled, op.b.scalarLike(x, op.number("threshold", 20)));
  return op.set(op.b.select(linear, x, soft));
}

LogicalResult logSigmoid(AtenOp &op) {
  return op.set(op.b.neg(softplusOf(op, op.b.neg(op.tensor("self")))));
}

LogicalResult mish(AtenOp &op) {
  Value x = op.tensor("self"), soft = softplusOf(op, x);
  return op.set(op.b.mul(x, graph::TanhOp::create(op.builder, op.location, soft.getType(), soft)));
}

LogicalResult glu(AtenOp &op) {
  Value x = op.tensor("self");
  int64_t dim = op.dim("dim", AtenOp::rankOf(x)), half = AtenOp::shapeOf(x)[dim] / 2;
  return op.set(
      op.b.mul(op.slice(x, dim, 0, half), op.b.sigmoid(op.slice(x, dim, half, 2 * half))));
}

LogicalResult dropout(AtenOp &op) {
  Value x = op.tensor("input");
  double p = op.number("p");
  if (p == 1)
    return op.set(op.b.mul(x, 0.0));
  return op.set(graph::DropoutOp::create(op.builder, op.location, x, op.state.randomCounter(),
                                         op.builder.getF64FloatAttr(p),
                                         op.builder.getI64IntegerAttr(op.state.nextRandomId())));
}

} // namespace

void torchscript::addActivations(ConverterTable &table) {
  const std::pair<const char *, Converter> converters[] = {{"relu", relu},
                                                           {"relu6", relu6},
                                                           {"hardtanh", hardtanh},
                                                           {"leaky_relu", leakyRelu},
                                                           {"elu", elu},
                                                           {"silu", silu},
                                                           {"gelu", gelu},
                                                           {"softplus", softplus},
                                                           {"log_sigmoid", logSigmoid},
                                                           {"mish", mish},
                                                           {"glu", glu},
                                                           {"dropout", dropout}};
  for (auto [name, converter] : converters)
    table["aten::" + std::string(name)] = converter;
}
