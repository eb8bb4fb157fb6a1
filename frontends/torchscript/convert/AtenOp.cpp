//===- AtenOp.cpp - one aten op on its way to graph ops ---------------------------------------===//

#include "frontends/torchscript/convert/AtenOp.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace deepshard;
using namespace deepshard::torchscript;

Type torchscript::parseElementType(MLIRContext *context, StringRef name) {
  return llvm::StringSwitch<Type>(name)
      .Case("f32", Float32Type::get(context))
      .Case("bf16", BFloat16Type::get(context))
      .Case("f16", Float16Type::get(context))
      .Case("f64", Float64Type::get(context))
      .Case("i64", IntegerType::get(context, 64))
      .Case("i32", IntegerType::get(context, 32))
      .Case("i8", IntegerType::get(context, 8))
      .Case("i1", IntegerType::get(context, 1))
      .Default(Type());
}

//===------------------------------------------------------------------------------------------===//
// Arguments
//===------------------------------------------------------------------------------------------===//

const Literal *AtenOp::find(StringRef name) const {
  for (const auto &[key, value] : node.arguments)
    if (key == name)
      return std::holds_alternative<std::monostate>(value) ? nullptr : &value;
  return nullptr;
}

bool AtenOp::has(StringRef name) const { return find(name) != nullptr; }

bool AtenOp::isTensor(StringRef name) const {
  const Literal *literal = find(name);
  return literal && std::holds_alternative<TensorRef>(*literal);
}

Value AtenOp::tensor(StringRef name) {
  return isTensor(name) ? state.valueOf(std::get<TensorRef>(*find(name))) : Value();
}

Value AtenOp::tensorOrScalar(StringRef name, Type elementType) {
  const Literal *literal = find(name);
  if (isTensor(name))
    return convert(tensor(name), elementType);
  if (literal && std::holds_alternative<double>(*literal))
    return scalar(std::get<double>(*literal), elementType);
  return scalar(integer(name), elementType);
}

SmallVector<Value> AtenOp::tensors(StringRef name) {
  SmallVector<Value> values;
  if (const Literal *literal = find(name);
      literal && std::holds_alternative<std::vector<TensorRef>>(*literal))
    for (TensorRef ref : std::get<std::vector<TensorRef>>(*literal))
      values.push_back(ref.id == TensorRef::kNone ? Value() : state.valueOf(ref));
  return values;
}

int64_t AtenOp::integer(StringRef name, int64_t otherwise) const {
  const Literal *literal = find(name);
  if (!literal)
    return otherwise;
  if (std::holds_alternative<bool>(*literal))
    return std::get<bool>(*literal);
  if (std::holds_alternative<int64_t>(*literal))
    return std::get<int64_t>(*literal);
  if (std::holds_alternative<double>(*literal))
    return static_cast<int64_t>(std::get<double>(*literal));
  SmallVector<int64_t> list = integers(name);
  return list.empty() ? otherwise : list.front();
}

double AtenOp::number(StringRef name, double otherwise) const {
  const Literal *literal = find(name);
  if (literal && std::holds_alternative<double>(*literal))
    return std::get<double>(*literal);
  return literal ? static_cast<double>(integer(name)) : otherwise;
}

StringRef AtenOp::string(StringRef name) const {
  const Literal *literal = find(name);
  return literal && std::holds_alternative<std::string>(*literal)
             ? StringRef(std::get<std::string>(*literal))
             : StringRef();
}

SmallVector<int64_t> AtenOp::integers(StringRef name) const {
  const Literal *literal = find(name);
  if (literal && std::holds_alternative<std::vector<int64_t>>(*literal))
    return llvm::to_vector(std::get<std::vector<int64_t>>(*literal));
  if (literal && std::holds_alternative<int64_t>(*literal))
    return {std::get<int64_t>(*literal)};
  return {};
}

int64_t AtenOp::dim(StringRef name, int64_t rank) const {
  int64_t value = integer(name);
  return value < 0 ? value + rank : value;
}

SmallVector<int64_t> AtenOp::dims(StringRef name, int64_t rank) const {
  SmallVector<int64_t> list = integers(name);
  if (list.empty())
    list = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  for (int64_t &value : list)
    value = value < 0 ? value + rank : value;
  llvm::sort(list);
  return list;
}

//===------------------------------------------------------------------------------------------===//
// Results
//===------------------------------------------------------------------------------------------===//

RankedTensorType AtenOp::resultType(size_t i) const {
  const torchscript::TensorType &type = graph.values[node.results[i].id];
  return RankedTensorType::get(type.shape, state.elementType(type.elementType));
}

Type AtenOp::promotedType() const { return state.elementType(node.operandType); }

LogicalResult AtenOp::unsupported(const Twine &reason) {
  why = reason.str();
  return failure();
}

LogicalResult AtenOp::set(Value value, size_t i) {
  RankedTensorType type = resultType(i);
  value = convert(value, type.getElementType());
  if (shapeOf(value) != type.getShape())
    value = broadcast(value, type.getShape());
  results.resize(std::max(results.size(), i + 1));
  results[i] = value;
  return success();
}

//===------------------------------------------------------------------------------------------===//
// Building
//===------------------------------------------------------------------------------------------===//

static Value splat(OpBuilder &builder, Location location, RankedTensorType type, Attribute value) {
  return graph::ConstantOp::create(builder, location, type, DenseElementsAttr::get(type, value));
}

Value AtenOp::scalar(int64_t value, Type type) {
  if (isFloat(type))
    return scalar(static_cast<double>(value), type);
  if (type.isInteger(1))
    value = value != 0;
  return splat(builder, location, RankedTensorType::get({}, type),
               builder.getIntegerAttr(type, value));
}

Value AtenOp::scalar(double value, Type type) {
  if (!isFloat(type))
    return scalar(type.isInteger(1) ? int64_t(value != 0) : static_cast<int64_t>(value), type);
  return splat(builder, location, RankedTensorType::get({}, type),
               builder.getFloatAttr(type, value));
}

/// The attribute of a constant that repeats one value, as another element type.
static Attribute convertSplat(OpBuilder &builder, SplatElementsAttr elements, Type from, Type to) {
  double number = 0;
  APInt whole(64, 0);
  if (isa<FloatType>(from)) {
    number = elements.getSplatValue<FloatAttr>().getValueAsDouble();
    whole = APInt(64, static_cast<int64_t>(number), /*isSigned=*/true, /*implicitTrunc=*/true);
  } else {
    APInt value = elements.getSplatValue<APInt>();
    whole = from.isInteger(1) ? value.zext(64) : value.sextOrTrunc(64);
    number = static_cast<double>(whole.getSExtValue());
  }
  if (isa<FloatType>(to))
    return builder.getFloatAttr(to, number);
  return builder.getIntegerAttr(to, to.isInteger(1) ? int64_t(number != 0) : whole.getSExtValue());
}

Value AtenOp::convert(Value value, Type elementType) {
  Type from = graph::PrimitiveBuilder::elementTypeOf(value);
  if (from == elementType)
    return value;
  if (auto constant = value.getDefiningOp<graph::ConstantOp>())
    if (auto elements = dyn_cast<SplatElementsAttr>(constant.getValue()))
      return splat(builder, location, RankedTensorType::get(shapeOf(value), elementType),
                   convertSplat(builder, elements, from, elementType));
  return b.convert(value, elementType);
}

Value AtenOp::broadcast(Value value, ArrayRef<int64_t> shape) {
  auto type = graph::PrimitiveBuilder::typeOf(value);
  if (type.getShape() == shape)
    return value;
  int64_t added = static_cast<int64_t>(shape.size()) - type.getRank();
  auto dims = llvm::to_vector(llvm::seq<int64_t>(added, shape.size()));
  return graph::BroadcastOp::create(
      builder, location, RankedTensorType::get(shape, type.getElementType()), value, dims);
}

Value AtenOp::transpose(Value value, ArrayRef<int64_t> permutation) {
  if (llvm::equal(permutation, llvm::seq<int64_t>(0, permutation.size())))
    return value;
  return graph::TransposeOp::create(builder, location, value, permutation);
}

Value AtenOp::swap(Value value, int64_t first, int64_t second) {
  auto permutation = llvm::to_vector(llvm::seq<int64_t>(0, rankOf(value)));
  std::swap(permutation[first], permutation[second]);
  return transpose(value, permutation);
}

Value AtenOp::slice(Value value, int64_t dim, int64_t start, int64_t limit, int64_t step) {
  SmallVector<int64_t> limits(shapeOf(value));
  SmallVector<int64_t> starts(limits.size(), 0), strides(limits.size(), 1);
  if (start == 0 && limit == limits[dim] && step == 1)
    return value;
  starts[dim] = start;
  limits[dim] = limit;
  strides[dim] = step;
  return graph::SliceOp::create(builder, location, value, starts, limits, strides);
}

Value AtenOp::concat(ValueRange values, int64_t dim) {
  return values.size() == 1 ? values.front()
                            : graph::ConcatOp::create(builder, location, values, dim).getResult();
}

Value AtenOp::pad(Value value, Value with, ArrayRef<int64_t> low, ArrayRef<int64_t> high) {
  return graph::PadOp::create(builder, location, value, with, low, high);
}

Value AtenOp::sqrt(Value x) { return graph::SqrtOp::create(builder, location, x.getType(), x); }
Value AtenOp::logicalNot(Value x) {
  return graph::NotOp::create(builder, location, x.getType(), x);
}
Value AtenOp::maximum(Value x, Value y) {
  return graph::MaximumOp::create(builder, location, x, y);
}
Value AtenOp::minimum(Value x, Value y) {
  return graph::MinimumOp::create(builder, location, x, y);
}
Value AtenOp::abs(Value x) { return graph::AbsOp::create(builder, location, x.getType(), x); }
