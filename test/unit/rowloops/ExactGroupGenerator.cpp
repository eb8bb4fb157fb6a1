//===- ExactGroupGenerator.cpp - random groups of ops that round in one way only --------------===//

#include "ExactGroupGenerator.h"

#include "GroupGenerator.h"

#include <numeric>

using namespace mlir;

namespace deepshard {

static RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

Type ExactGroupGenerator::anyType() {
  const Type types[] = {builder->getF32Type(), builder->getBF16Type(), builder->getF16Type()};
  return types[pick(3)];
}

Value ExactGroupGenerator::argument(ArrayRef<int64_t> sizes, Type element) {
  unsigned index = function.getNumArguments();
  (void)function.insertArgument(index, RankedTensorType::get(sizes, element), {},
                                function.getLoc());
  return function.getArgument(index);
}

Value ExactGroupGenerator::newInput() {
  SmallVector<int64_t> sizes(shape);
  for (int64_t &size : sizes)
    if (chance(0.2))
      size = 1;
  if (chance(0.2))
    sizes.erase(sizes.begin(), sizes.begin() + pick(static_cast<int64_t>(sizes.size())));
  if (!chance(0.3))
    return argument(sizes, anyType());
  SmallVector<int64_t> order(sizes.size()), permuted(sizes);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  for (auto [to, from] : llvm::enumerate(order))
    permuted[from] = sizes[to];
  return graph::TransposeOp::create(*builder, function.getLoc(), argument(permuted, anyType()),
                                    order);
}

Value ExactGroupGenerator::full() {
  if (fulls.empty())
    fulls.push_back(argument(shape, anyType()));
  return chance(0.4) ? fulls.back() : fulls[pick(static_cast<int64_t>(fulls.size()))];
}

Value ExactGroupGenerator::other(Type element) {
  graph::PrimitiveBuilder b(*builder, function.getLoc());
  double which = std::uniform_real_distribution<>()(random);
  if (which < 0.1)
    return b.scalar(element, static_cast<double>(pick(9)) / 4 - 1);
  Value value = which < 0.3 && !rows.empty() ? rows[pick(static_cast<int64_t>(rows.size()))]
                : which < 0.37               ? randomCounts(*builder, shape, rowDims, random)
                : which < 0.62               ? newInput()
                                             : full();
  return typeOf(value).getElementType() == element ? value : b.convert(value, element);
}

Value ExactGroupGenerator::unary(Value x) {
  Location loc = function.getLoc();
  auto make = [&]<typename Op>(Op) -> Value { return Op::create(*builder, loc, x.getType(), x); };
  switch (pick(7)) {
  case 0:
    return make(graph::NegOp());
  case 1:
    return make(graph::AbsOp());
  case 2:
    return make(graph::FloorOp());
  case 3:
    return make(graph::SignOp());
  case 4:
    return make(graph::SqrtOp());
  case 5:
    return make(graph::RsqrtOp());
  default:
    if (!typeOf(x).getElementType().isF32()) // the reference kernels have no other
      return make(graph::AbsOp());
    if (!counter)
      counter = argument({3}, builder->getI64Type());
    return graph::DropoutOp::create(*builder, loc, x, counter, builder->getF64FloatAttr(0.25),
                                    builder->getI64IntegerAttr(pick(100)));
  }
}

Value ExactGroupGenerator::binary(Value x, Value y) {
  graph::PrimitiveBuilder b(*builder, function.getLoc());
  const char *directions[] = {"eq", "ne", "lt", "le", "gt", "ge"};
  switch (pick(8)) {
  case 0:
    return b.add(x, y);
  case 1:
    return b.sub(y, x);
  case 2:
    return b.mul(x, y);
  case 3:
    return b.div(x, y);
  case 4:
    return b.minimum(x, y);
  case 5:
    return graph::MaximumOp::create(*builder, function.getLoc(), x, y);
  default:
    return b.select(b.compare(directions[pick(6)], y, x), y, x);
  }
}

void ExactGroupGenerator::append() {
  graph::PrimitiveBuilder b(*builder, function.getLoc());
  auto rank = static_cast<int64_t>(shape.size());
  // Of zeros of both signs either may be the maximum: there are none of the negative one.
  auto maximum = [&](ArrayRef<int64_t> dims) {
    Value x = b.convert(full(), builder->getF32Type());
    return b.max(b.add(x, b.scalar(builder->getF32Type(), 0)), dims);
  };
  bool reduces = rowDims > 0 && rowDims < rank;
  if (!rows.empty() && rows.back().use_empty() && chance(0.7)) {
    Value x = full();
    fulls.push_back(binary(x, b.convert(rows.back(), typeOf(x).getElementType())));
  } else if (reduces && chance(0.2)) {
    rows.push_back(maximum(llvm::to_vector(llvm::seq<int64_t>(rowDims, rank))));
  } else if (reduces && chance(0.15)) {
    columns.push_back(maximum(llvm::to_vector(llvm::seq<int64_t>(rowDims))));
  } else if (chance(0.2)) {
    Value x = full();
    fulls.push_back(b.convert(x, anyType()));
  } else if (chance(0.3)) {
    fulls.push_back(unary(full()));
  } else {
    Value x = full();
    fulls.push_back(binary(x, other(typeOf(x).getElementType())));
  }
}

func::FuncOp ExactGroupGenerator::generate(const std::string &name, int ops) {
  OpBuilder here = OpBuilder::atBlockEnd(module.getBody());
  builder = &here;
  function = func::FuncOp::create(here, here.getUnknownLoc(), name, here.getFunctionType({}, {}));
  here.setInsertionPointToStart(function.addEntryBlock());
  for (auto *values : {&fulls, &rows, &columns})
    values->clear();
  counter = {};
  shape.clear();
  const int64_t sizes[] = {1, 2, 3, 5, 8, 17, 31, 33, 64, 100};
  for (int64_t rank = 1 + pick(4), i = 0; i < rank; ++i)
    shape.push_back(sizes[pick(rank > 2 ? 6 : std::size(sizes))]);
  rowDims = chance(0.6) ? static_cast<unsigned>(pick(static_cast<int64_t>(shape.size()))) : 0;
  auto isLarge = [](int64_t size) { return size > 1; };
  if (!llvm::any_of(ArrayRef(shape).take_front(rowDims), isLarge) ||
      !llvm::any_of(ArrayRef(shape).drop_front(rowDims), isLarge))
    rowDims = 0;
  for (int i = 0; i < ops; ++i)
    append();

  SmallVector<Value> results;
  for (ArrayRef<Value> values :
       {ArrayRef<Value>(fulls), ArrayRef<Value>(rows), ArrayRef<Value>(columns)})
    for (Value value : values)
      if (value.getDefiningOp() && (value.use_empty() || chance(0.15)) &&
          !llvm::is_contained(results, value))
        results.push_back(value);
  func::ReturnOp::create(here, function.getLoc(), results);
  function.setType(here.getFunctionType(
      function.getArgumentTypes(),
      llvm::map_to_vector(results, [](Value value) { return value.getType(); })));
  builder = nullptr;
  return function;
}

} // namespace deepshard
