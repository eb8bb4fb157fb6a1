//===- Layout.cpp - the same elements under other shapes --------------------------------------===//

#include "frontends/torchscript/convert/AtenOp.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace deepshard;
using namespace deepshard::torchscript;

namespace {

LogicalResult reshape(AtenOp &op) {
  if (op.node.overload == "dtype")
    return op.unsupported("a view of the same bytes as another type");
  return op.set(op.b.reshape(op.tensor(op.has("self") ? "self" : "a"), op.resultType().getShape()));
}

/// Functional tensors have no memory layout: copies and detours through one change only the type.
LogicalResult identity(AtenOp &op) { return op.set(op.tensor(op.has("self") ? "self" : "a")); }

LogicalResult transposeTwo(AtenOp &op) {
  Value x = op.tensor("self");
  int64_t rank = AtenOp::rankOf(x);
  if (rank == 0)
    return op.set(x);
  bool axes = op.has("axis0");
  return op.set(
      op.swap(x, op.dim(axes ? "axis0" : "dim0", rank), op.dim(axes ? "axis1" : "dim1", rank)));
}

LogicalResult transposeLast(AtenOp &op) {
  Value x = op.tensor("self");
  int64_t rank = AtenOp::rankOf(x);
  return op.set(rank < 2 ? x : op.swap(x, rank - 2, rank - 1));
}

LogicalResult reverseDims(AtenOp &op) {
  Value x = op.tensor("self");
  auto permutation = llvm::to_vector(llvm::reverse(llvm::seq<int64_t>(0, AtenOp::rankOf(x))));
  return op.set(op.transpose(x, permutation));
}

SmallVector<int64_t> fromFront(ArrayRef<int64_t> dims, int64_t rank) {
  return llvm::map_to_vector(dims, [&](int64_t dim) { return dim < 0 ? dim + rank : dim; });
}

LogicalResult permute(AtenOp &op) {
  Value x = op.tensor("self");
  return op.set(op.transpose(x, fromFront(op.integers("dims"), AtenOp::rankOf(x))));
}

LogicalResult movedim(AtenOp &op) {
  Value x = op.tensor("self");
  int64_t rank = AtenOp::rankOf(x);
  SmallVector<int64_t> source = fromFront(op.integers("source"), rank);
  SmallVector<int64_t> destination = fromFront(op.integers("destination"), rank);
  SmallVector<int64_t> permutation(rank, -1);
  for (auto [from, to] : llvm::zip_equal(source, destination))
    permutation[to] = from;
  int64_t next = 0;
  for (int64_t &entry : permutation) {
    while (llvm::is_contained(source, next))
      ++next;
    if (entry < 0)
      entry = next++;
  }
  return op.set(op.transpose(x, permutation));
}

LogicalResult expand(AtenOp &op) {
  return op.set(op.broadcast(op.tensor("self"), op.resultType().getShape()));
}

LogicalResult slice(AtenOp &op) {
  Value x = op.tensor("self");
  int64_t dim = op.dim("dim", AtenOp::rankOf(x)), size = AtenOp::shapeOf(x)[dim];
  auto clampIndex = [&](int64_t index) {
    return std::clamp<int64_t>(index < 0 ? index + size : index, 0, size);
  };
  int64_t start = clampIndex(op.integer("start", 0));
  int64_t end = std::max(start, clampIndex(op.integer("end", size)));
  return op.set(op.slice(x, dim, start, end, op.integer("step", 1)));
}

LogicalResult select(AtenOp &op) {
  Value x = op.tensor("self");
  int64_t dim = op.dim("dim", AtenOp::rankOf(x)), index = op.integer("index");
  index = index < 0 ? index + AtenOp::shapeOf(x)[dim] : index;
  return op.set(op.b.reshape(op.slice(x, dim, index, index + 1), op.resultType().getShape()));
}

LogicalResult narrow(AtenOp &op) {
  Value x = op.tensor("self");
  if (op.isTensor("start"))
    return op.unsupported("a start that is a tensor");
  int64_t dim = op.dim("dim", AtenOp::rankOf(x)), start = op.integer("start");
  start = start < 0 ? start + AtenOp::shapeOf(x)[dim] : start;
  return op.set(op.slice(x, dim, start, start + op.integer("length")));
}

/// Consecutive pieces along a dimension, as long as the results are.
LogicalResult split(AtenOp &op) {
  Value x = op.tensor("self");
  int64_t dim = op.dim("dim", AtenOp::rankOf(x)), start = 0;
  for (size_t i = 0; i < op.resultCount(); ++i) {
    int64_t size = op.resultType(i).getShape()[dim];
    if (failed(op.set(op.slice(x, dim, start, start + size), i)))
      return failure();
    start += size;
  }
  return success();
}

LogicalResult unbind(AtenOp &op) {
  Value x = op.tensor("self");
  int64_t dim = op.dim("dim", AtenOp::rankOf(x));
  for (size_t i = 0; i < op.resultCount(); ++i)
    if (failed(op.set(op.b.reshape(op.slice(x, dim, i, i + 1), op.resultType(i).getShape()), i)))
      return failure();
  return success();
}

LogicalResult cat(AtenOp &op) {
  SmallVector<Value> parts;
  for (Value part : op.tensors("tensors"))
    if (AtenOp::shapeOf(part) !=
        ArrayRef<int64_t>{0}) // PyTorch skips empty vectors, whatever the others' rank
      parts.push_back(op.convert(part, op.elementType()));
  if (parts.empty())
    return op.unsupported("empty tensors only");
  return op.set(op.concat(parts, op.dim("dim", AtenOp::rankOf(parts[0]))));
}

LogicalResult stack(AtenOp &op) {
  SmallVector<Value> parts = op.tensors("tensors");
  int64_t dim = op.dim("dim", op.resultType().getRank());
  SmallVector<int64_t> shape(op.resultType().getShape());
  shape[dim] = 1;
  for (Value &part : parts)
    part = op.b.reshape(op.convert(part, op.elementType()), shape);
  return op.set(op.concat(parts, dim));
}

LogicalResult pad(AtenOp &op) {
  if (!op.string("mode").empty() && op.string("mode") != "constant")
    return op.unsupported("mode '" + op.string("mode") + "'");
  Value x = op.tensor("self");
  SmallVector<int64_t> amounts = op.integers("pad"), low(AtenOp::rankOf(x), 0), high(low);
  // Pairs from the last dimension on; negative amounts cut.
  for (size_t i = 0; i + 1 < amounts.size(); i += 2) {
    int64_t dim = AtenOp::rankOf(x) - 1 - i / 2;
    int64_t size = AtenOp::shapeOf(x)[dim];
    x = op.slice(x, dim, std::max<int64_t>(-amounts[i], 0),
                 size - std::max<int64_t>(-amounts[i + 1], 0));
    low[dim] = std::max<int64_t>(amounts[i], 0);
    high[dim] = std::max<int64_t>(amounts[i + 1], 0);
  }
  return op.set(op.pad(x, op.tensorOrScalar("value", op.elementType()), low, high));
}

} // namespace

void torchscript::addLayout(ConverterTable &table) {
  const std::pair<const char *, Converter> converters[] = {{"view", reshape},
                                                           {"reshape", reshape},
                                                           {"_unsafe_view", reshape},
                                                           {"view_as", reshape},
                                                           {"reshape_as", reshape},
                                                           {"flatten", reshape},
                                                           {"unflatten", reshape},
                                                           {"ravel", reshape},
                                                           {"squeeze", reshape},
                                                           {"unsqueeze", reshape},
                                                           {"atleast_1d", reshape},
                                                           {"contiguous", identity},
                                                           {"clone", identity},
                                                           {"detach", identity},
                                                           {"alias", identity},
                                                           {"lift_fresh", identity},
                                                           {"to", identity},
                                                           {"_to_copy", identity},
                                                           {"type_as", identity},
                                                           {"positive", identity},
                                                           {"transpose", transposeTwo},
                                                           {"swapaxes", transposeTwo},
                                                           {"swapdims", transposeTwo},
                                                           {"t", transposeLast},
                                                           {"mT", transposeLast},
                                                           {"numpy_T", reverseDims},
                                                           {"permute", permute},
                                                           {"movedim", movedim},
                                                           {"expand", expand},
                                                           {"expand_as", expand},
                                                           {"broadcast_to", expand},
                                                           {"slice", slice},
                                                           {"select", select},
                                                           {"narrow", narrow},
                                                           {"split", split},
                                                           {"split_with_sizes", split},
                                                           {"chunk", split},
                                                           {"unbind", unbind},
                                                           {"cat", cat},
                                                           {"concat", cat},
                                                           {"stack", stack},
                                                           {"pad", pad},
                                                           {"constant_pad_nd", pad}};
  for (auto [name, converter] : converters)
    table["aten::" + std::string(name)] = converter;
}
