//===- Normalization.cpp - softmax and layer norm and their kin -------------------------------===//

#include "frontends/torchscript/convert/AtenOp.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace deepshard;
using namespace deepshard::torchscript;

namespace {

LogicalResult softmax(AtenOp &op) {
  Value x = op.convert(op.tensor("self"), op.elementType());
  if (AtenOp::rankOf(x) == 0)
    return op.set(op.scalar(1.0, op.elementType()));
  return op.set(
      graph::SoftmaxOp::create(op.builder, op.location, x.getType(), x,
                               op.builder.getI64IntegerAttr(op.dim("dim", AtenOp::rankOf(x)))));
}

LogicalResult logSoftmax(AtenOp &op) {
  Value x = op.convert(op.tensor("self"), op.elementType());
  if (AtenOp::rankOf(x) == 0)
    return op.set(op.scalar(0.0, op.elementType()));
  int64_t dim = op.dim("dim", AtenOp::rankOf(x));
  Value shifted = op.b.sub(x, op.b.max(x, {dim}));
  return op.set(op.b.sub(shifted, op.b.log(op.b.sum(op.b.exp(shifted), {dim}))));
}

/// A weight or bias that may be absent.
Value orConstant(AtenOp &op, StringRef name, double value, ArrayRef<int64_t> shape, Type type) {
  if (op.has(name))
    return op.convert(op.tensor(name), type);
  auto tensorType = RankedTensorType::get(shape, type);
  return graph::ConstantOp::create(
      op.builder, op.location, tensorType,
      DenseElementsAttr::get(tensorType, op.builder.getFloatAttr(type, value)));
}

LogicalResult layerNorm(AtenOp &op) {
  Value x = op.tensor("input");
  SmallVector<int64_t> shape = op.integers("normalized_shape");
  Type type = op.elementType();
  Value weight = orConstant(op, "weight", 1, shape, type),
        bias = orConstant(op, "bias", 0, shape, type);
  auto norm = graph::LayerNormOp::create(op.builder, op.location, x, weight, bias,
                                         op.builder.getF64FloatAttr(op.number("eps", 1e-5)));
  return op.set(norm.getY());
}

/// PyTorch's default eps is that of the element type.
double defaultEps(Type type) {
  const llvm::fltSemantics &semantics = cast<FloatType>(type).getFloatSemantics();
  return std::ldexp(1.0, 1 - static_cast<int>(llvm::APFloat::semanticsPrecision(semantics)));
}

LogicalResult rmsNorm(AtenOp &op) {
  Value x = op.tensor("input");
  int64_t rank = AtenOp::rankOf(x), count = op.integers("normalized_shape").size();
  auto dims = llvm::to_vector(llvm::seq<int64_t>(rank - count, rank));
  double elements = 1;
  for (int64_t size : op.integers("normalized_shape"))
    elements *= size;
  Value meanSquare = op.b.div(op.b.sum(op.b.mul(x, x), dims), elements);
  Value scale = op.b.rsqrt(op.b.add(meanSquare, op.number("eps", defaultEps(op.elementType()))));
  Value y = op.b.mul(x, scale);
  return op.set(op.has("weight") ? op.b.mul(y, op.tensor("weight")) : y);
}

LogicalResult groupNorm(AtenOp &op) {
  Value x = op.tensor("input");
  ArrayRef<int64_t> shape = AtenOp::shapeOf(x);
  int64_t groups = op.integer("num_groups"), channels = shape[1];
  int64_t elements = graph::PrimitiveBuilder::typeOf(x).getNumElements() / (shape[0] * groups);
  Type type = op.elementType();
  Value grouped = op.b.reshape(x, {shape[0], groups, elements});
  auto constant = [&](double value) {
    auto tensorType = RankedTensorType::get({elements}, type);
    return graph::ConstantOp::create(
        op.builder, op.location, tensorType,
        DenseElementsAttr::get(tensorType, op.builder.getFloatAttr(type, value)));
  };
  auto norm = graph::LayerNormOp::create(op.builder, op.location, grouped, constant(1), constant(0),
                                         op.builder.getF64FloatAttr(op.number("eps", 1e-5)));
  Value y = op.b.reshape(norm.getY(), shape);
  SmallVector<int64_t> perChannel(shape.size() - 1, 1);
  perChannel[0] = channels;
  if (op.has("weight"))
    y = op.b.mul(y, op.b.reshape(op.tensor("weight"), perChannel));
  if (op.has("bias"))
    y = op.b.add(y, op.b.reshape(op.tensor("bias"), perChannel));
  return op.set(y);
}

} // namespace

void torchscript::addNormalization(ConverterTable &table) {
  const std::pair<const char *, Converter> converters[] = {
      {"softmax", softmax},         {"_softmax", softmax},     {"log_softmax", logSoftmax},
      {"_log_softmax", logSoftmax}, {"layer_norm", layerNorm}, {"rms_norm", rmsNorm},
      {"group_norm", groupNorm}};
  for (auto [name, converter] : converters)
    table["aten::" + std::string(name)] = converter;
}
