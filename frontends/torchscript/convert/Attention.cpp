//===- Attention.cpp - scaled_dot_product_attention -------------------------------------------===//

#include "frontends/torchscript/convert/AtenOp.h"

#include <cmath>

using namespace mlir;
using namespace deepshard;
using namespace deepshard::torchscript;

namespace {

/// As b x h x s x d: missing leading dimensions are 1, more than two are one.
Value toRank4(AtenOp &op, Value x) {
  ArrayRef<int64_t> shape = AtenOp::shapeOf(x);
  int64_t batch = 1;
  for (int64_t size : shape.drop_back(std::min<size_t>(shape.size(), 3)))
    batch *= size;
  int64_t heads = shape.size() > 2 ? shape[shape.size() - 3] : 1;
  SmallVector<int64_t> result{batch, heads, shape[shape.size() - 2], shape.back()};
  return shape == ArrayRef<int64_t>(result) ? x : op.b.reshape(x, result);
}

/// PyTorch counts causal from the first query and key, the graph op from the last ones.
Value causalMask(AtenOp &op, int64_t queries, int64_t keys) {
  Type type = op.builder.getI64Type();
  return op.b.compare("le", op.b.iota(type, {1, 1, 1, keys}, 3),
                      op.b.iota(type, {1, 1, queries, 1}, 2));
}

LogicalResult attention(AtenOp &op) {
  Type type = op.elementType();
  Value q = toRank4(op, op.tensor("query")), k = toRank4(op, op.tensor("key")),
        v = toRank4(op, op.tensor("value"));
  ArrayRef<int64_t> shape = AtenOp::shapeOf(q);
  int64_t queries = shape[2], keys = AtenOp::shapeOf(k)[2], heads = AtenOp::shapeOf(k)[1];
  if (AtenOp::shapeOf(k)[0] != shape[0] || AtenOp::shapeOf(v)[0] != shape[0] ||
      AtenOp::shapeOf(v)[1] != heads)
    return op.unsupported("query, key and value of unequal batch");
  if (heads != shape[1] && !op.flag("enable_gqa"))
    return op.unsupported("fewer heads of key and value than of query without enable_gqa");
  Value mask = op.tensor("attn_mask");
  bool causal = op.flag("is_causal") && queries == keys;
  if (mask) {
    if (AtenOp::rankOf(mask) > 4 || op.resultType().getRank() > 4)
      return op.unsupported("a mask of more than 4 dimensions");
    if (!graph::PrimitiveBuilder::elementTypeOf(mask).isInteger(1))
      mask = op.convert(mask, type);
    mask = toRank4(op, mask);
  } else if (op.flag("is_causal") && !causal) {
    mask = causalMask(op, queries, keys);
  }
  double dropout = op.number("dropout_p");
  if (dropout >= 1)
    return op.unsupported("a dropout of 1");
  double scale = op.number("scale", 1 / std::sqrt(static_cast<double>(shape[3])));
  OpBuilder &builder = op.builder;
  auto result = graph::AttentionOp::create(
      builder, op.location, q, k, v, mask, dropout > 0 ? op.state.randomCounter() : Value(),
      builder.getF64FloatAttr(scale), causal ? builder.getUnitAttr() : UnitAttr(),
      builder.getF64FloatAttr(dropout),
      builder.getI64IntegerAttr(dropout > 0 ? op.state.nextRandomId() : 0));
  return op.set(op.b.reshape(result.getO(), op.resultType().getShape()));
}

} // namespace

void torchscript::addAttention(ConverterTable &table) {
  table["aten::scaled_dot_product_attention"] = attention;
}
