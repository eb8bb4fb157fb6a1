//===- Reductions.cpp - sums, means, extremes -------------------------------------------------===//

#include "frontends/torchscript/convert/AtenOp.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace deepshard;
using namespace deepshard::torchscript;

namespace {

int64_t countOf(Value x, ArrayRef<int64_t> dims) {
  int64_t count = 1;
  for (int64_t dim : dims)
    count *= AtenOp::shapeOf(x)[dim];
  return count;
}

LogicalResult sum(AtenOp &op) {
  Value x = op.convert(op.tensor("self"), op.elementType());
  return op.set(op.b.sum(x, op.dims("dim", AtenOp::rankOf(x)), op.flag("keepdim")));
}

Value meanOf(AtenOp &op, Value x, ArrayRef<int64_t> dims, bool keep) {
  return op.b.div(op.b.sum(x, dims, keep), static_cast<double>(countOf(x, dims)));
}

LogicalResult mean(AtenOp &op) {
  Value x = op.convert(op.tensor("self"), op.elementType());
  return op.set(meanOf(op, x, op.dims("dim", AtenOp::rankOf(x)), op.flag("keepdim")));
}

/// The mean of squared deviations, with Bessel's correction unless told otherwise.
Value variance(AtenOp &op) {
  Value x = op.tensor("self");
  SmallVector<int64_t> dims = op.dims("dim", AtenOp::rankOf(x));
  double correction = op.has("correction") ? op.number("correction")
                      : op.has("unbiased") ? op.flag("unbiased")
                                           : 1;
  Value deviation = op.b.sub(x, meanOf(op, x, dims, /*keep=*/true));
  Value squares = op.b.sum(op.b.mul(deviation, deviation), dims, op.flag("keepdim"));
  return op.b.div(squares, std::max(0.0, countOf(x, dims) - correction));
}

LogicalResult var(AtenOp &op) { return op.set(variance(op)); }
LogicalResult standardDeviation(AtenOp &op) { return op.set(op.sqrt(variance(op))); }

/// max(x) or amax(x, dims); max of two tensors is elementwise.
template <class Reduce, class Elementwise> LogicalResult extreme(AtenOp &op) {
  Value x = op.tensor("self");
  if (op.has("other")) {
    Value left = op.convert(x, op.elementType()),
          right = op.tensorOrScalar("other", op.elementType());
    return op.set(Elementwise::create(op.builder, op.location, left, right));
  }
  if (op.resultCount() != 1)
    return op.unsupported("the positions of the extremes; amax and amin give the values alone");
  return op.set(Reduce::create(op.builder, op.location, x, op.dims("dim", AtenOp::rankOf(x)),
                               op.flag("keepdim")));
}

template <bool all> LogicalResult quantifier(AtenOp &op) {
  Value x =
      op.convert(op.convert(op.tensor("self"), op.builder.getI1Type()), op.builder.getI32Type());
  SmallVector<int64_t> dims = op.dims("dim", AtenOp::rankOf(x));
  bool keep = op.flag("keepdim");
  Value result =
      all ? graph::ReduceMinOp::create(op.builder, op.location, x, dims, keep).getResult()
          : graph::ReduceMaxOp::create(op.builder, op.location, x, dims, keep).getResult();
  return op.set(result);
}

LogicalResult logsumexp(AtenOp &op) {
  Value x = op.convert(op.tensor("self"), op.elementType());
  return op.set(op.b.logSumExp(x, op.dims("dim", AtenOp::rankOf(x)), op.flag("keepdim")));
}

LogicalResult norm(AtenOp &op) {
  StringRef power = op.has("p") ? "p" : "ord";
  if (op.isTensor(power) || op.number(power, 2) != 2)
    return op.unsupported("a norm of another order than 2");
  Value x = op.convert(op.tensor("self"), op.elementType());
  SmallVector<int64_t> dims = op.dims("dim", AtenOp::rankOf(x));
  return op.set(op.sqrt(op.b.sum(op.b.mul(x, x), dims, op.flag("keepdim"))));
}

} // namespace

void torchscript::addReductions(ConverterTable &table) {
  const std::pair<const char *, Converter> converters[] = {
      {"sum", sum},
      {"mean", mean},
      {"var", var},
      {"std", standardDeviation},
      {"max", extreme<graph::ReduceMaxOp, graph::MaximumOp>},
      {"amax", extreme<graph::ReduceMaxOp, graph::MaximumOp>},
      {"min", extreme<graph::ReduceMinOp, graph::MinimumOp>},
      {"amin", extreme<graph::ReduceMinOp, graph::MinimumOp>},
      {"all", quantifier<true>},
      {"any", quantifier<false>},
      {"logsumexp", logsumexp},
      {"norm", norm},
      {"linalg_vector_norm", norm}};
  for (auto [name, converter] : converters)
    table["aten::" + std::string(name)] = converter;
}
