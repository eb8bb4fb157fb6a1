//===- ProgramGenerator.cpp - random programs that compute with integers ----------------------===//

#include "test/unit/sharding/ProgramGenerator.h"

#include "dialects/graph/Graph.h"

#include <numeric>

using namespace mlir;

namespace deepshard::sharding {

using graph::HostTensor;

/// f32 holds integers up to 2^24; sums of two stay below.
constexpr double kMostBound = 1 << 22;
constexpr int64_t kMostElements = 4096;

ArrayRef<int64_t> ProgramGenerator::Known::shape() const {
  return cast<RankedTensorType>(value.getType()).getShape();
}

ProgramGenerator::ProgramGenerator(Type elementType, Random &random)
    : elementType(elementType), random(random), builder(elementType.getContext()),
      location(builder.getUnknownLoc()) {}

int64_t ProgramGenerator::pickSize() {
  constexpr int64_t kSizes[] = {1, 2, 3, 4, 4, 6, 8, 8, 12};
  return kSizes[pick(std::size(kSizes))];
}

ProgramGenerator::Known ProgramGenerator::pickKnown(int64_t minRank) {
  // Late values first, so that programs are deep; the early ones now and then.
  for (int attempt = 0; attempt < 8; ++attempt) {
    auto count = static_cast<int64_t>(known.size());
    Known found = known[count - 1 - pick(coin() ? std::min<int64_t>(3, count) : count)];
    if (static_cast<int64_t>(found.shape().size()) >= minRank)
      return found;
  }
  SmallVector<int64_t> shape;
  for (int64_t i = 0; i < minRank; ++i)
    shape.push_back(pickSize());
  return newTensor(shape);
}

Value ProgramGenerator::argument(RankedTensorType type, int64_t low, int64_t high) {
  HostTensor tensor(type);
  for (int64_t i = 0; i < type.getNumElements(); ++i) {
    int64_t value = low + pick(high - low + 1);
    if (type.getElementType().isF64())
      tensor.as<double>()[i] = static_cast<double>(value);
    else if (type.getElementType().isF32())
      tensor.as<float>()[i] = static_cast<float>(value);
    else
      tensor.as<int64_t>()[i] = value;
  }
  data.push_back(std::move(tensor));
  return body->addArgument(type, location);
}

ProgramGenerator::Known ProgramGenerator::newTensor(ArrayRef<int64_t> shape) {
  known.push_back({argument(RankedTensorType::get(shape, elementType), -3, 3), 3});
  return known.back();
}

ProgramGenerator::Known ProgramGenerator::ofShape(ArrayRef<int64_t> shape) {
  for (const Known &candidate : llvm::reverse(known))
    if (candidate.shape() == shape && coin())
      return candidate;
  return newTensor(shape);
}

Value ProgramGenerator::ids(ArrayRef<int64_t> shape, int64_t rows) {
  return argument(RankedTensorType::get(shape, builder.getI64Type()), 0, rows - 1);
}

Value ProgramGenerator::scalar(double value) {
  auto type = RankedTensorType::get({}, elementType);
  return graph::ConstantOp::create(
      builder, location, DenseElementsAttr::get(type, builder.getFloatAttr(elementType, value)));
}

/// Values that are too large to be exact, or large for a test, are left unused.
void ProgramGenerator::keep(Value value, double bound) {
  if (bound <= kMostBound &&
      cast<RankedTensorType>(value.getType()).getNumElements() <= kMostElements)
    known.push_back({value, bound});
  else
    value.getDefiningOp()->erase();
}

void ProgramGenerator::appendUnary() {
  Known x = pickKnown(0);
  switch (pick(3)) {
  case 0:
    return keep(graph::NegOp::create(builder, location, x.value), x.bound);
  case 1:
    return keep(graph::AbsOp::create(builder, location, x.value), x.bound);
  default:
    return keep(graph::SignOp::create(builder, location, x.value), 1);
  }
}

void ProgramGenerator::appendBinary() {
  Known a = pickKnown(0);
  // A suffix of the shape, some of its sizes 1: operands are broadcast as in NumPy.
  SmallVector<int64_t> shape(
      a.shape().drop_front(pick(static_cast<int64_t>(a.shape().size()) + 1)));
  if (coin())
    shape.assign(a.shape().begin(), a.shape().end());
  for (int64_t &size : shape)
    if (pick(6) == 0)
      size = 1;
  Known b = ofShape(shape);
  if (coin())
    std::swap(a, b);
  switch (pick(6)) {
  case 0:
  case 1:
    return keep(graph::AddOp::create(builder, location, a.value, b.value), a.bound + b.bound);
  case 2:
    return keep(graph::SubOp::create(builder, location, a.value, b.value), a.bound + b.bound);
  case 3:
    return keep(graph::MulOp::create(builder, location, a.value, b.value), a.bound * b.bound);
  case 4:
    return keep(graph::MaximumOp::create(builder, location, a.value, b.value),
                std::max(a.bound, b.bound));
  default:
    return keep(graph::MinimumOp::create(builder, location, a.value, b.value),
                std::max(a.bound, b.bound));
  }
}

void ProgramGenerator::appendSelect() {
  Known a = pickKnown(0);
  Known b = ofShape(a.shape());
  Value less = graph::CompareOp::create(builder, location, "lt", a.value, scalar(1));
  keep(graph::SelectOp::create(builder, location, less, b.value, a.value),
       std::max(a.bound, b.bound));
}

void ProgramGenerator::appendLinear() {
  Known x = pickKnown(1);
  int64_t k = x.shape().back(), n = pickSize();
  bool transposed = coin();
  Known weight = ofShape(transposed ? ArrayRef({n, k}) : ArrayRef({k, n}));
  Known bias = coin() ? ofShape({n}) : Known{};
  keep(graph::LinearOp::create(builder, location, x.value, weight.value, bias.value,
                               transposed ? builder.getUnitAttr() : UnitAttr()),
       static_cast<double>(k) * x.bound * weight.bound + bias.bound);
}

void ProgramGenerator::appendMatmul() {
  Known x = pickKnown(2);
  auto rank = static_cast<int64_t>(x.shape().size());
  // The first dimension is a batch, the last or the second last is contracted.
  int64_t batch = rank > 2 ? 1 : 0, contract = coin() || rank == 2 ? rank - 1 : rank - 2;
  SmallVector<int64_t> shape(x.shape().take_front(batch));
  shape.append({x.shape()[contract], pickSize()});
  Known y = ofShape(shape);
  SmallVector<int64_t> batches(batch, 0);
  keep(graph::MatmulOp::create(builder, location, x.value, y.value, batches, batches, {contract},
                               {batch}),
       static_cast<double>(x.shape()[contract]) * x.bound * y.bound);
}

void ProgramGenerator::appendReduction() {
  Known x = pickKnown(1);
  SmallVector<int64_t> dims;
  double count = 1;
  for (auto [dim, size] : llvm::enumerate(x.shape()))
    if (coin()) {
      dims.push_back(static_cast<int64_t>(dim));
      count *= static_cast<double>(size);
    }
  bool keepDims = coin();
  switch (pick(4)) {
  case 0:
    return keep(graph::ReduceMaxOp::create(builder, location, x.value, dims, keepDims), x.bound);
  case 1:
    return keep(graph::ReduceMinOp::create(builder, location, x.value, dims, keepDims), x.bound);
  default:
    return keep(graph::ReduceSumOp::create(builder, location, x.value, dims, keepDims),
                count * x.bound);
  }
}

/// Two neighbours become one dimension, or one becomes two.
void ProgramGenerator::appendReshape() {
  Known x = pickKnown(1);
  SmallVector<int64_t> shape(x.shape());
  auto rank = static_cast<int64_t>(shape.size());
  int64_t dim = pick(rank);
  if (coin() && dim + 1 < rank) {
    shape[dim] *= shape[dim + 1];
    shape.erase(shape.begin() + dim + 1);
  } else if (rank < 4) {
    int64_t factor = 1 + pick(4);
    if (shape[dim] % factor != 0)
      return;
    shape[dim] /= factor;
    shape.insert(shape.begin() + dim, factor);
  }
  auto type = RankedTensorType::get(shape, elementType);
  keep(graph::ReshapeOp::create(builder, location, type, x.value), x.bound);
}

void ProgramGenerator::appendTranspose() {
  Known x = pickKnown(2);
  SmallVector<int64_t> permutation(x.shape().size());
  std::iota(permutation.begin(), permutation.end(), 0);
  std::shuffle(permutation.begin(), permutation.end(), random);
  keep(graph::TransposeOp::create(builder, location, x.value, permutation), x.bound);
}

void ProgramGenerator::appendBroadcast() {
  Known x = pickKnown(0);
  SmallVector<int64_t> shape(x.shape()), dims(shape.size());
  if (shape.size() > 3)
    return;
  int64_t at = pick(static_cast<int64_t>(shape.size()) + 1);
  for (auto [index, dim] : llvm::enumerate(dims)) {
    dim = static_cast<int64_t>(index) + (static_cast<int64_t>(index) >= at);
    if (shape[index] == 1)
      shape[index] = pickSize();
  }
  shape.insert(shape.begin() + at, pickSize());
  auto type = RankedTensorType::get(shape, elementType);
  keep(graph::BroadcastOp::create(builder, location, type, x.value, dims), x.bound);
}

void ProgramGenerator::appendSlice() {
  Known x = pickKnown(1);
  SmallVector<int64_t> starts, limits, strides;
  for (int64_t size : x.shape()) {
    bool whole = coin();
    starts.push_back(whole ? 0 : pick(size));
    limits.push_back(whole ? size : starts.back() + 1 + pick(size - starts.back()));
    strides.push_back(whole ? 1 : 1 + pick(2));
  }
  keep(graph::SliceOp::create(builder, location, x.value, starts, limits, strides), x.bound);
}

void ProgramGenerator::appendPad() {
  Known x = pickKnown(1);
  SmallVector<int64_t> low, high;
  for ([[maybe_unused]] int64_t size : x.shape()) {
    low.push_back(pick(3) == 0 ? pick(4) : 0);
    high.push_back(pick(3) == 0 ? pick(4) : 0);
  }
  keep(graph::PadOp::create(builder, location, x.value, scalar(static_cast<double>(pick(3))), low,
                            high),
       std::max(x.bound, 2.0));
}

void ProgramGenerator::appendConcat() {
  Known a = pickKnown(1);
  int64_t dim = pick(static_cast<int64_t>(a.shape().size()));
  SmallVector<int64_t> shape(a.shape());
  if (coin())
    shape[dim] = pickSize();
  Known b = ofShape(shape);
  keep(graph::ConcatOp::create(builder, location, ValueRange{a.value, b.value}, dim),
       std::max(a.bound, b.bound));
}

void ProgramGenerator::appendEmbedding() {
  Known table = pickKnown(2);
  Value rows = ids(coin() ? ArrayRef<int64_t>({4, 6}) : ArrayRef<int64_t>({8}), table.shape()[0]);
  keep(graph::EmbeddingOp::create(builder, location, table.value, rows), table.bound);
}

void ProgramGenerator::appendEmbeddingGrad() {
  Known dy = pickKnown(2);
  ArrayRef<int64_t> shape =
      dy.shape().take_front(1 + pick(static_cast<int64_t>(dy.shape().size()) - 1));
  int64_t rows = pickSize();
  double count = std::accumulate(shape.begin(), shape.end(), 1.0, std::multiplies<>());
  keep(graph::EmbeddingGradOp::create(builder, location, dy.value, ids(shape, rows), rows),
       count * dy.bound);
}

void ProgramGenerator::appendGather() {
  Known x = pickKnown(1);
  int64_t dim = pick(static_cast<int64_t>(x.shape().size()));
  SmallVector<int64_t> shape(x.shape());
  shape[dim] = pickSize();
  keep(graph::GatherOp::create(builder, location, x.value, ids(shape, x.shape()[dim]), dim),
       x.bound);
}

void ProgramGenerator::appendScatterAdd() {
  Known x = pickKnown(1);
  int64_t dim = pick(static_cast<int64_t>(x.shape().size()));
  SmallVector<int64_t> shape(x.shape());
  shape[dim] = pickSize();
  auto type = RankedTensorType::get(shape, elementType);
  keep(graph::ScatterAddOp::create(builder, location, type, x.value, ids(x.shape(), shape[dim]),
                                   dim),
       static_cast<double>(x.shape()[dim]) * x.bound);
}

/// Half of the elements are dropped, the others doubled: integers stay integers.
void ProgramGenerator::appendDropout() {
  Known x = pickKnown(1);
  keep(graph::DropoutOp::create(builder, location, x.value, body->getArgument(0),
                                builder.getF64FloatAttr(0.5),
                                builder.getI64IntegerAttr(++randomIds)),
       2 * x.bound);
}

void ProgramGenerator::appendIota() {
  SmallVector<int64_t> shape = {pickSize(), pickSize()};
  auto type = RankedTensorType::get(shape, elementType);
  int64_t dim = pick(2);
  keep(graph::IotaOp::create(builder, location, type, dim), static_cast<double>(shape[dim]));
}

func::FuncOp ProgramGenerator::generate(OpBuilder at, int ops) {
  using Append = void (ProgramGenerator::*)();
  constexpr Append kAppends[] = {
      &ProgramGenerator::appendUnary,      &ProgramGenerator::appendBinary,
      &ProgramGenerator::appendBinary,     &ProgramGenerator::appendBinary,
      &ProgramGenerator::appendSelect,     &ProgramGenerator::appendLinear,
      &ProgramGenerator::appendLinear,     &ProgramGenerator::appendMatmul,
      &ProgramGenerator::appendReduction,  &ProgramGenerator::appendReduction,
      &ProgramGenerator::appendReshape,    &ProgramGenerator::appendReshape,
      &ProgramGenerator::appendTranspose,  &ProgramGenerator::appendBroadcast,
      &ProgramGenerator::appendSlice,      &ProgramGenerator::appendPad,
      &ProgramGenerator::appendConcat,     &ProgramGenerator::appendEmbedding,
      &ProgramGenerator::appendGather,     &ProgramGenerator::appendEmbeddingGrad,
      &ProgramGenerator::appendScatterAdd, &ProgramGenerator::appendDropout,
      &ProgramGenerator::appendIota};
  auto function =
      func::FuncOp::create(at, location, "micro_batch", builder.getFunctionType({}, {}));
  body = function.addEntryBlock();
  builder.setInsertionPointToStart(body);
  argument(RankedTensorType::get({3}, builder.getI64Type()), 0, 0);
  newTensor({4, 6, 8});
  newTensor({8, 12});
  for (int i = 0; i < ops; ++i)
    (this->*kAppends[pick(std::size(kAppends))])();
  while (!known.back().value.getDefiningOp())
    appendUnary();
  SmallVector<Value> results;
  for (const Known &last : llvm::reverse(known))
    if (last.value.getDefiningOp() && results.size() < 4 && (results.empty() || coin()))
      results.push_back(last.value);
  func::ReturnOp::create(builder, location, results);
  function.setFunctionType(
      builder.getFunctionType(body->getArgumentTypes(), ValueRange(results).getTypes()));
  return function;
}

} // namespace deepshard::sharding
