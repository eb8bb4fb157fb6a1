//===- Shuffles.cpp - repeating, rolling, triangles -------------------------------------------===//

#include "frontends/torchscript/convert/AtenOp.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace deepshard;
using namespace deepshard::torchscript;

namespace {

/// Tiles the tensor: dimension by dimension one more dimension in front, repeated, then merged.
LogicalResult repeat(AtenOp &op) {
  Value x = op.tensor("self");
  SmallVector<int64_t> counts = op.integers(op.has("repeats") ? "repeats" : "dims");
  SmallVector<int64_t> shape(AtenOp::shapeOf(x));
  size_t rank = std::max(counts.size(), shape.size());
  counts.insert(counts.begin(), rank - counts.size(), 1);
  shape.insert(shape.begin(), rank - shape.size(), 1);
  SmallVector<int64_t> single, repeated;
  for (auto [count, size] : llvm::zip_equal(counts, shape)) {
    single.append({1, size});
    repeated.append({count, size});
  }
  return op.set(
      op.b.reshape(op.broadcast(op.b.reshape(x, single), repeated), op.resultType().getShape()));
}

LogicalResult repeatInterleave(AtenOp &op) {
  if (!op.has("self") || op.isTensor("repeats"))
    return op.unsupported("numbers of repeats that are a tensor");
  Value x = op.tensor("self");
  if (!op.has("dim"))
    x = op.b.reshape(x, {graph::PrimitiveBuilder::typeOf(x).getNumElements()});
  int64_t dim = op.dim("dim", AtenOp::rankOf(x));
  SmallVector<int64_t> single(AtenOp::shapeOf(x)), repeated(single);
  single.insert(single.begin() + dim + 1, 1);
  repeated.insert(repeated.begin() + dim + 1, op.integer("repeats"));
  return op.set(
      op.b.reshape(op.broadcast(op.b.reshape(x, single), repeated), op.resultType().getShape()));
}

LogicalResult roll(AtenOp &op) {
  Value x = op.tensor("self");
  SmallVector<int64_t> shifts = op.integers("shifts"), dims = op.integers("dims");
  bool flat = dims.empty();
  if (flat) {
    x = op.b.reshape(x, {graph::PrimitiveBuilder::typeOf(x).getNumElements()});
    dims.push_back(0);
  }
  for (auto [shift, given] : llvm::zip_equal(shifts, dims)) {
    int64_t dim = given < 0 ? given + AtenOp::rankOf(x) : given, size = AtenOp::shapeOf(x)[dim];
    int64_t cut = size == 0 ? 0 : (size - shift % size) % size;
    if (cut != 0)
      x = op.concat({op.slice(x, dim, cut, size), op.slice(x, dim, 0, cut)}, dim);
  }
  return op.set(flat ? op.b.reshape(x, op.resultType().getShape()) : x);
}

/// Rows of `x` along `dim` in reverse order.
Value flipOne(AtenOp &op, Value x, int64_t dim) {
  int64_t size = AtenOp::shapeOf(x)[dim];
  Type type = op.builder.getI64Type();
  Value ids = op.b.sub(op.scalar(size - 1, type), op.b.iota(type, {size}, 0));
  Value rows = graph::EmbeddingOp::create(op.builder, op.location, op.swap(x, 0, dim), ids);
  return op.swap(rows, 0, dim);
}

LogicalResult flip(AtenOp &op) {
  Value x = op.tensor("self");
  int64_t rank = AtenOp::rankOf(x);
  for (int64_t dim : op.integers("dims")) {
    // A table has two dimensions at least.
    Value table = rank == 1 ? op.b.reshape(x, {AtenOp::shapeOf(x)[0], 1}) : x;
    table = flipOne(op, table, dim < 0 ? dim + rank : dim);
    x = rank == 1 ? op.b.reshape(table, AtenOp::shapeOf(x)) : table;
  }
  return op.set(x);
}

/// Keeps the triangle where column - row is at most (tril) or at least (triu) `diagonal`.
template <bool lower> LogicalResult triangle(AtenOp &op) {
  Value x = op.tensor("self");
  Type type = op.builder.getI64Type();
  ArrayRef<int64_t> shape = AtenOp::shapeOf(x).take_back(2);
  Value row = op.b.add(op.b.iota(type, {shape[0], 1}, 0), op.scalar(op.integer("diagonal"), type));
  Value column = op.b.iota(type, {1, shape[1]}, 1);
  Value kept = op.b.compare(lower ? "le" : "ge", column, row);
  return op.set(op.b.select(kept, x, op.scalar(int64_t(0), op.elementType())));
}

} // namespace

void torchscript::addShuffles(ConverterTable &table) {
  const std::pair<const char *, Converter> converters[] = {
      {"repeat", repeat},       {"tile", repeat}, {"repeat_interleave", repeatInterleave},
      {"roll", roll},           {"flip", flip},   {"tril", triangle<true>},
      {"triu", triangle<false>}};
  for (auto [name, converter] : converters)
    table["aten::" + std::string(name)] = converter;
}
