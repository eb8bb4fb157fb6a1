//===- GroupGenerator.cpp - random groups of ops for one kernel -------------------------------===//

#include "GroupGenerator.h"

using namespace mlir;

namespace deepshard {

static RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

Value randomCounts(OpBuilder &builder, ArrayRef<int64_t> shape, unsigned rowDims,
                   std::mt19937_64 &random) {
  graph::PrimitiveBuilder b(builder, builder.getUnknownLoc());
  bool isOneLoop = rowDims == 0 || shape.size() - rowDims == 1;
  size_t dim = random() % (isOneLoop ? shape.size() : rowDims);
  SmallVector<int64_t> sizes(shape.size(), 1);
  sizes[dim] = shape[dim];
  const Type types[] = {builder.getF32Type(), builder.getI32Type(), builder.getI64Type()};
  return b.convert(b.iota(types[random() % 3], sizes, static_cast<int64_t>(dim)),
                   builder.getF32Type());
}

Value GroupGenerator::argument(RankedTensorType type) {
  unsigned index = function.getNumArguments();
  (void)function.insertArgument(index, type, {}, function.getLoc());
  return function.getArgument(index);
}

Type GroupGenerator::narrowType() {
  return chance(0.5) ? Type(builder->getBF16Type()) : builder->getF16Type();
}

Value GroupGenerator::newInput() {
  SmallVector<int64_t> sizes(shape);
  for (int64_t &size : sizes)
    if (chance(0.25))
      size = 1;
  if (chance(0.2))
    sizes.erase(sizes.begin(), sizes.begin() + pick(static_cast<int64_t>(sizes.size())));
  bool isNarrow = chance(0.15);
  Type element = isNarrow ? narrowType() : builder->getF32Type();
  Value input = argument(RankedTensorType::get(sizes, element));
  graph::PrimitiveBuilder b(*builder, function.getLoc());
  return isNarrow ? b.convert(input, builder->getF32Type()) : input;
}

Value GroupGenerator::full() {
  if (fulls.empty())
    fulls.push_back(argument(RankedTensorType::get(shape, builder->getF32Type())));
  // Often the newest, so that some reductions depend on others.
  return chance(0.4) ? fulls.back() : fulls[pick(static_cast<int64_t>(fulls.size()))];
}

Value GroupGenerator::any() {
  double which = std::uniform_real_distribution<>()(random);
  if (which < 0.2 && !rows.empty())
    return rows[pick(static_cast<int64_t>(rows.size()))];
  if (which < 0.35)
    return newInput();
  graph::PrimitiveBuilder b(*builder, function.getLoc());
  if (which < 0.4)
    return b.div(randomCounts(*builder, shape, rowDims, random), 64);
  if (which < 0.5)
    return b.scalar(builder->getF32Type(), 0.25 + static_cast<double>(pick(8)) / 4);
  return full();
}

Value GroupGenerator::tamed(Value x) {
  graph::PrimitiveBuilder b(*builder, function.getLoc());
  return graph::TanhOp::create(*builder, function.getLoc(), x.getType(), b.mul(x, 0.5));
}

Value GroupGenerator::elementwise() {
  graph::PrimitiveBuilder b(*builder, function.getLoc());
  Location loc = function.getLoc();
  Value x = full(), y = any();
  switch (pick(11)) {
  case 0:
    return b.add(x, y);
  case 1:
    return b.sub(y, x);
  case 2:
    return b.mul(x, y);
  case 3: // a divisor away from 0
    return b.div(x, b.add(b.mul(y, y), 0.5));
  case 4:
    return b.exp(tamed(x));
  case 5:
    return b.sigmoid(x);
  case 6:
    return tamed(x);
  case 7:
    return b.rsqrt(b.add(b.mul(x, x), 1.0));
  case 8:
    // Far from each other, so that no rounding changes the answer.
    return b.select(
        b.compare("lt",
                  graph::FloorOp::create(*builder, loc, x.getType(), b.add(b.mul(x, 0.0), 0.5)),
                  b.scalar(builder->getF32Type(), chance(0.5) ? 0.5 : -0.5)),
        x, y);
  case 9:
    return graph::MaximumOp::create(*builder, loc, x, y);
  default:
    if (chance(0.5)) {
      if (!counter)
        counter = argument(RankedTensorType::get({3}, builder->getI64Type()));
      return graph::DropoutOp::create(*builder, loc, x, counter, builder->getF64FloatAttr(0.3),
                                      builder->getI64IntegerAttr(pick(100)));
    }
    return b.log(b.add(b.mul(x, x), 0.5));
  }
}

void GroupGenerator::append() {
  graph::PrimitiveBuilder b(*builder, function.getLoc());
  auto rank = static_cast<int64_t>(shape.size());
  SmallVector<int64_t> leading = llvm::to_vector(llvm::seq<int64_t>(rowDims)),
                       trailing = llvm::to_vector(llvm::seq<int64_t>(rowDims, rank));
  bool hasNewRow = !rows.empty() && rows.back().use_empty();
  if (hasNewRow && chance(0.7)) {
    // What depends on a reduction, so that some reductions depend on others.
    fulls.push_back(b.mul(full(), b.sigmoid(rows.back())));
  } else if (reduces && rowDims < rank && chance(0.3)) {
    int64_t columns = 1;
    for (int64_t dim : trailing)
      columns *= shape[dim];
    Value x = full();
    rows.push_back(chance(0.6) ? b.div(b.sum(x, trailing), static_cast<double>(columns))
                               : b.max(x, trailing));
  } else if (reduces && rowDims > 0 && chance(0.15)) {
    int64_t count = 1;
    for (int64_t dim : leading)
      count *= shape[dim];
    Value sum = b.div(b.sum(full(), leading, /*keep=*/chance(0.5)), static_cast<double>(count));
    if (chance(0.5))
      sum = b.add(sum, argument(typeOf(sum)));
    sums.push_back(sum);
  } else if (!rows.empty() && chance(0.2)) {
    Value row = rows[pick(static_cast<int64_t>(rows.size()))];
    rows.push_back(b.rsqrt(b.add(b.mul(row, row), 0.25)));
  } else {
    fulls.push_back(elementwise());
  }
}

func::FuncOp GroupGenerator::generate(const std::string &name, int ops) {
  OpBuilder here = OpBuilder::atBlockEnd(module.getBody());
  builder = &here;
  function = func::FuncOp::create(here, here.getUnknownLoc(), name, here.getFunctionType({}, {}));
  here.setInsertionPointToStart(function.addEntryBlock());
  fulls.clear();
  rows.clear();
  sums.clear();
  counter = {};
  shape.clear();
  const int64_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 16, 17, 31, 48, 64, 100};
  for (int64_t rank = 1 + pick(4), i = 0; i < rank; ++i)
    shape.push_back(sizes[pick(rank > 2 ? 8 : std::size(sizes))]);
  if (chance(0.1)) {
    // More columns than a block has, and few rows: a test has many such tensors.
    for (int64_t &size : shape)
      size = std::min<int64_t>(size, 2);
    shape.back() = 20000 + pick(100);
  }
  auto isLarge = [](int64_t size) { return size > 1; };
  rowDims = shape.size() > 1
                ? 1 + static_cast<unsigned>(pick(static_cast<int64_t>(shape.size()) - 1))
                : 0;
  reduces = rowDims > 0 && chance(0.8) &&
            llvm::any_of(ArrayRef(shape).take_front(rowDims), isLarge) &&
            llvm::any_of(ArrayRef(shape).drop_front(rowDims), isLarge);
  for (int i = 0; i < ops; ++i)
    append();

  graph::PrimitiveBuilder b(here, function.getLoc());
  SmallVector<Value> results;
  for (ArrayRef<Value> values :
       {ArrayRef<Value>(fulls), ArrayRef<Value>(rows), ArrayRef<Value>(sums)})
    for (Value value : values)
      if (value.getDefiningOp() && (value.use_empty() || chance(0.15)) &&
          !llvm::is_contained(results, value))
        results.push_back(chance(0.2) ? b.convert(value, narrowType()) : value);
  func::ReturnOp::create(here, function.getLoc(), results);
  // What no op wanted to read.
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(function.getBody().front())))
    if (isOpTriviallyDead(&op))
      op.erase();
  function.setType(here.getFunctionType(
      function.getArgumentTypes(),
      llvm::map_to_vector(results, [](Value value) { return value.getType(); })));
  builder = nullptr;
  return function;
}

} // namespace deepshard
