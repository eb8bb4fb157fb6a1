//===- Indexing.cpp - elements chosen by other elements ---------------------------------------===//

#include "frontends/torchscript/convert/AtenOp.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace deepshard;
using namespace deepshard::torchscript;

namespace {

/// Rows of `table` (along its first dimension) at `ids`.
Value rows(AtenOp &op, Value table, Value ids) {
  if (AtenOp::rankOf(table) > 1)
    return graph::EmbeddingOp::create(op.builder, op.location, table, ids);
  Value column = op.b.reshape(table, {AtenOp::shapeOf(table)[0], 1});
  Value picked = graph::EmbeddingOp::create(op.builder, op.location, column, ids);
  return op.b.reshape(picked, AtenOp::shapeOf(ids));
}

LogicalResult embedding(AtenOp &op) {
  Value table = op.tensor("weight"), ids = op.tensor("indices");
  Value result = rows(op, table, ids);
  int64_t padding = op.integer("padding_idx", -1);
  if (padding < 0)
    return op.set(result);
  // PyTorch gives the row at padding_idx no gradient. A row that is zero stays zero then, so a zero
  // that does not depend on the table says the same; without data the row is zero as
  // torch.nn.Embedding makes it.
  TensorRef ref;
  for (const auto &[name, value] : op.node.arguments)
    if (name == "weight")
      ref = std::get<TensorRef>(value);
  if (std::optional<bool> zero = op.state.isZeroRow(ref, padding); zero && !*zero)
    return op.unsupported("padding_idx=" + Twine(padding) +
                          " where that row of the table is not zero");
  SmallVector<int64_t> shape(AtenOp::shapeOf(ids));
  shape.push_back(1);
  Type index = graph::PrimitiveBuilder::elementTypeOf(ids);
  Value isPadding = op.b.reshape(op.b.compare("eq", ids, op.scalar(padding, index)), shape);
  return op.set(op.b.select(isPadding, op.scalar(0.0, op.elementType()), result));
}

LogicalResult gather(AtenOp &op) {
  Value x = op.tensor("self"), index = op.tensor(op.has("index") ? "index" : "indices");
  if (AtenOp::rankOf(x) == 0)
    return op.set(x);
  return op.set(op.b.gather(x, index, op.dim("dim", AtenOp::rankOf(x))));
}

/// gather whose operands broadcast in every other dimension.
LogicalResult takeAlongDim(AtenOp &op) {
  Value x = op.tensor("self"), index = op.tensor("indices");
  if (!op.has("dim"))
    return op.unsupported("no dim");
  int64_t dim = op.dim("dim", AtenOp::rankOf(x));
  SmallVector<int64_t> shape(op.resultType().getShape()), source(shape);
  source[dim] = AtenOp::shapeOf(x)[dim];
  return op.set(op.b.gather(op.broadcast(x, source), op.broadcast(index, shape), dim));
}

LogicalResult indexSelect(AtenOp &op) {
  Value x = op.tensor("self"), ids = op.tensor("index");
  if (AtenOp::rankOf(ids) == 0)
    ids = op.b.reshape(ids, {1});
  int64_t dim = op.dim("dim", AtenOp::rankOf(x));
  return op.set(op.swap(rows(op, op.swap(x, 0, dim), ids), 0, dim));
}

Value wrapNegative(AtenOp &op, Value index, int64_t size) {
  // Known indices were made positive when they were computed.
  if (index.getDefiningOp<graph::ConstantOp>())
    return index;
  Type type = graph::PrimitiveBuilder::elementTypeOf(index);
  Value negative = op.b.compare("lt", index, op.scalar(int64_t(0), type));
  return op.b.select(negative, op.b.add(index, op.scalar(size, type)), index);
}

/// The row-major position that several index tensors, broadcast against each other, name together.
Value linearIndex(AtenOp &op, ArrayRef<Value> indices, ArrayRef<int64_t> sizes) {
  Value linear;
  Type type = op.builder.getI64Type();
  for (auto [index, size] : llvm::zip_equal(indices, sizes)) {
    Value wrapped = wrapNegative(op, op.convert(index, type), size);
    linear = linear ? op.b.add(op.b.mul(linear, op.scalar(size, type)), wrapped) : wrapped;
  }
  return linear;
}

/// x[..., i, j, ...]: the indexed dimensions come first, become one, and are looked up; then the
/// result's dimensions take their place: where the first index stood if the indices are neighbours,
/// else in front.
LogicalResult index(AtenOp &op) {
  Value x = op.tensor("self");
  SmallVector<Value> list = op.tensors("indices"), given;
  SmallVector<int64_t> indexed, kept, sizes;
  int64_t rank = AtenOp::rankOf(x), rest = 1;
  for (int64_t i = 0; i < rank; ++i) {
    if (i < static_cast<int64_t>(list.size()) && list[i]) {
      if (graph::PrimitiveBuilder::elementTypeOf(list[i]).isInteger(1))
        return op.unsupported("a mask that depends on data: the number of elements is not known");
      indexed.push_back(i);
      given.push_back(list[i]);
      sizes.push_back(AtenOp::shapeOf(x)[i]);
    } else {
      kept.push_back(i);
      rest *= AtenOp::shapeOf(x)[i];
    }
  }
  int64_t count = 1;
  for (int64_t size : sizes)
    count *= size;
  Value table = op.transpose(x, llvm::to_vector(llvm::concat<int64_t>(indexed, kept)));
  table = op.b.reshape(table, {count, rest});
  Value picked = rows(op, table, linearIndex(op, given, sizes));
  SmallVector<int64_t> shape(AtenOp::shapeOf(picked).drop_back());
  int64_t indexRank = shape.size();
  for (int64_t dim : kept)
    shape.push_back(AtenOp::shapeOf(x)[dim]);
  picked = op.b.reshape(picked, shape);
  bool neighbours = indexed.back() - indexed.front() + 1 == static_cast<int64_t>(indexed.size());
  if (!neighbours || indexed.front() == 0)
    return op.set(picked);
  auto order = llvm::to_vector(llvm::seq<int64_t>(0, shape.size()));
  std::rotate(order.begin(), order.begin() + indexRank,
              order.begin() + indexRank + indexed.front());
  return op.set(op.transpose(picked, order));
}

LogicalResult oneHot(AtenOp &op) {
  Value ids = op.tensor("self");
  SmallVector<int64_t> shape(AtenOp::shapeOf(ids));
  shape.push_back(1);
  Type type = graph::PrimitiveBuilder::elementTypeOf(ids);
  Value classes = op.b.iota(type, {op.resultType().getShape().back()}, 0);
  return op.set(op.b.compare("eq", op.b.reshape(ids, shape), classes));
}

} // namespace

void torchscript::addIndexing(ConverterTable &table) {
  const std::pair<const char *, Converter> converters[] = {
      {"embedding", embedding},      {"gather", gather}, {"take_along_dim", takeAlongDim},
      {"index_select", indexSelect}, {"index", index},   {"one_hot", oneHot}};
  for (auto [name, converter] : converters)
    table["aten::" + std::string(name)] = converter;
}
