//===- Elementwise.cpp - arithmetic, comparison, logic, types ---------------------------------===//

#include "frontends/torchscript/convert/AtenOp.h"

using namespace mlir;
using namespace deepshard;
using namespace deepshard::torchscript;

namespace {

template <class Op> LogicalResult unary(AtenOp &op) {
  Value x = op.convert(op.tensor("self"), op.elementType());
  return op.set(Op::create(op.builder, op.location, x.getType(), x));
}

template <class Op> LogicalResult binary(AtenOp &op) {
  Value x = op.tensorOrScalar("self", op.elementType()),
        y = op.tensorOrScalar("other", op.elementType());
  return op.set(Op::create(op.builder, op.location, x, y));
}

/// x + alpha y, or its mirror image.
LogicalResult addLike(AtenOp &op, StringRef left, StringRef right, bool subtract) {
  Type type = op.elementType();
  Value x = op.tensorOrScalar(left, type), y = op.tensorOrScalar(right, type);
  if (op.number("alpha", 1) != 1)
    y = op.b.mul(y, op.tensorOrScalar("alpha", type));
  if (type.isInteger(1))
    return subtract ? op.unsupported("subtraction of truth values")
                    : op.set(graph::OrOp::create(op.builder, op.location, x, y));
  return op.set(subtract ? op.b.sub(x, y) : op.b.add(x, y));
}

LogicalResult add(AtenOp &op) { return addLike(op, "self", "other", false); }
LogicalResult sub(AtenOp &op) { return addLike(op, "self", "other", true); }
LogicalResult rsub(AtenOp &op) { return addLike(op, "other", "self", true); }

LogicalResult mul(AtenOp &op) {
  return op.elementType().isInteger(1) ? binary<graph::AndOp>(op) : binary<graph::MulOp>(op);
}

Value floorOf(AtenOp &op, Value x) {
  return graph::FloorOp::create(op.builder, op.location, x.getType(), x);
}
Value ceilOf(AtenOp &op, Value x) { return op.b.neg(floorOf(op, op.b.neg(x))); }

Value truncate(AtenOp &op, Value x) {
  return op.b.select(op.b.compare("lt", x, op.b.scalarLike(x, 0)), ceilOf(op, x), floorOf(op, x));
}

/// Integers: the quotient rounded down, from the one rounded towards zero.
Value floorDivide(AtenOp &op, Value x, Value y) {
  Value quotient = op.b.div(x, y);
  if (AtenOp::isFloat(graph::PrimitiveBuilder::elementTypeOf(x)))
    return floorOf(op, quotient);
  Value rest = op.b.sub(x, op.b.mul(quotient, y));
  Value zero = op.b.scalarLike(x, 0);
  Value opposite = op.b.compare("ne", op.b.compare("lt", rest, zero), op.b.compare("lt", y, zero));
  Value inexact = op.b.compare("ne", rest, zero);
  Value lower = graph::AndOp::create(op.builder, op.location, opposite, inexact);
  return op.b.sub(quotient, op.convert(lower, graph::PrimitiveBuilder::elementTypeOf(x)));
}

LogicalResult div(AtenOp &op) {
  Value x = op.tensorOrScalar("self", op.elementType()),
        y = op.tensorOrScalar("other", op.elementType());
  StringRef rounding = op.string("rounding_mode");
  if (rounding == "floor")
    return op.set(floorDivide(op, x, y));
  Value quotient = op.b.div(x, y);
  return op.set(rounding == "trunc" && AtenOp::isFloat(op.elementType()) ? truncate(op, quotient)
                                                                         : quotient);
}

LogicalResult floorDiv(AtenOp &op) {
  Type type = op.elementType();
  return op.set(floorDivide(op, op.tensorOrScalar("self", type), op.tensorOrScalar("other", type)));
}

LogicalResult remainder(AtenOp &op) {
  Value x = op.tensorOrScalar("self", op.elementType()),
        y = op.tensorOrScalar("other", op.elementType());
  return op.set(op.b.sub(x, op.b.mul(floorDivide(op, x, y), y)));
}

LogicalResult pow(AtenOp &op) {
  Type type = op.elementType();
  Value x = op.tensorOrScalar("self", type);
  if (AtenOp::isFloat(type))
    return op.set(
        graph::PowOp::create(op.builder, op.location, x, op.tensorOrScalar("exponent", type)));
  int64_t exponent = op.integer("exponent", -1);
  if (op.isTensor("exponent") || exponent < 0 || exponent > 8)
    return op.unsupported("integers to a power that is not a small constant");
  Value power = op.broadcast(op.scalar(int64_t(1), type), op.resultType().getShape());
  for (int64_t i = 0; i < exponent; ++i)
    power = op.b.mul(power, x);
  return op.set(power);
}

LogicalResult square(AtenOp &op) {
  Value x = op.tensor("self");
  return op.set(op.b.mul(x, x));
}

LogicalResult ceil(AtenOp &op) { return op.set(ceilOf(op, op.tensor("self"))); }
LogicalResult trunc(AtenOp &op) { return op.set(truncate(op, op.tensor("self"))); }

LogicalResult log1p(AtenOp &op) {
  Value x = op.convert(op.tensor("self"), op.elementType());
  return op.set(op.b.log(op.b.add(x, 1.0)));
}

LogicalResult tan(AtenOp &op) {
  Value x = op.convert(op.tensor("self"), op.elementType());
  Value sine = graph::SinOp::create(op.builder, op.location, x.getType(), x);
  Value cosine = graph::CosOp::create(op.builder, op.location, x.getType(), x);
  return op.set(op.b.div(sine, cosine));
}

LogicalResult clamp(AtenOp &op) {
  Type type = op.elementType();
  Value x = op.convert(op.tensor("self"), type);
  if (op.has("min"))
    x = op.maximum(x, op.tensorOrScalar("min", type));
  if (op.has("max"))
    x = op.minimum(x, op.tensorOrScalar("max", type));
  return op.set(x);
}

template <char... direction> LogicalResult compare(AtenOp &op) {
  constexpr char name[] = {direction..., 0};
  Type type = op.promotedType();
  if (!type)
    return op.unsupported("an operand of type " + op.node.operandType);
  return op.set(
      op.b.compare(name, op.tensorOrScalar("self", type), op.tensorOrScalar("other", type)));
}

LogicalResult isNan(AtenOp &op) {
  return op.set(op.b.compare("ne", op.tensor("self"), op.tensor("self")));
}

/// Logic on truth values; bits of integers are not supported.
template <class Op, bool isBitwise> LogicalResult logical(AtenOp &op) {
  if (isBitwise && !op.elementType().isInteger(1))
    return op.unsupported("bits of integers");
  return binary<Op>(op);
}

template <bool isBitwise> LogicalResult negation(AtenOp &op) {
  if (isBitwise && !op.elementType().isInteger(1))
    return op.unsupported("bits of integers");
  return op.set(op.logicalNot(op.convert(op.tensor("self"), op.elementType())));
}

template <bool isBitwise> LogicalResult exclusiveOr(AtenOp &op) {
  if (isBitwise && !op.elementType().isInteger(1))
    return op.unsupported("bits of integers");
  Type type = op.builder.getI1Type();
  return op.set(
      op.b.compare("ne", op.tensorOrScalar("self", type), op.tensorOrScalar("other", type)));
}

LogicalResult where(AtenOp &op) {
  if (!op.has("self"))
    return op.unsupported("positions where a condition holds: their number depends on the data");
  Type type = op.elementType();
  Value condition = op.convert(op.tensor("condition"), op.builder.getI1Type());
  return op.set(
      op.b.select(condition, op.tensorOrScalar("self", type), op.tensorOrScalar("other", type)));
}

LogicalResult maskedFill(AtenOp &op) {
  Type type = op.elementType();
  Value mask = op.convert(op.tensor("mask"), op.builder.getI1Type());
  return op.set(
      op.b.select(mask, op.tensorOrScalar("value", type), op.convert(op.tensor("self"), type)));
}

LogicalResult addcmul(AtenOp &op) {
  Type type = op.elementType();
  Value product = op.b.mul(op.tensorOrScalar("tensor1", type), op.tensorOrScalar("tensor2", type));
  return op.set(
      op.b.add(op.tensorOrScalar("self", type), op.b.mul(product, op.number("value", 1))));
}

LogicalResult addcdiv(AtenOp &op) {
  Type type = op.elementType();
  Value quotient = op.b.div(op.tensorOrScalar("tensor1", type), op.tensorOrScalar("tensor2", type));
  return op.set(
      op.b.add(op.tensorOrScalar("self", type), op.b.mul(quotient, op.number("value", 1))));
}

LogicalResult lerp(AtenOp &op) {
  Type type = op.elementType();
  Value start = op.tensorOrScalar("self", type), end = op.tensorOrScalar("end", type);
  return op.set(op.b.add(start, op.b.mul(op.tensorOrScalar("weight", type), op.b.sub(end, start))));
}

/// A new tensor of one value, whatever it is given.
template <int value> LogicalResult fill(AtenOp &op) {
  return op.set(
      op.broadcast(op.scalar(int64_t(value), op.elementType()), op.resultType().getShape()));
}

LogicalResult full(AtenOp &op) {
  StringRef name = op.has("fill_value") ? "fill_value" : "value";
  return op.set(
      op.broadcast(op.tensorOrScalar(name, op.elementType()), op.resultType().getShape()));
}

LogicalResult copy(AtenOp &op) { return op.set(op.tensor("src")); }

LogicalResult arange(AtenOp &op) {
  Type type = op.elementType();
  Value count = op.b.iota(type, op.resultType().getShape(), 0);
  if (op.has("step"))
    count = op.b.mul(count, op.tensorOrScalar("step", type));
  return op.set(op.has("start") ? op.b.add(count, op.tensorOrScalar("start", type)) : count);
}

} // namespace

void torchscript::addElementwise(ConverterTable &table) {
  const std::pair<const char *, Converter> converters[] = {
      {"neg", unary<graph::NegOp>},
      {"abs", unary<graph::AbsOp>},
      {"sign", unary<graph::SignOp>},
      {"sgn", unary<graph::SignOp>},
      {"floor", unary<graph::FloorOp>},
      {"exp", unary<graph::ExpOp>},
      {"log", unary<graph::LogOp>},
      {"sqrt", unary<graph::SqrtOp>},
      {"rsqrt", unary<graph::RsqrtOp>},
      {"reciprocal", unary<graph::ReciprocalOp>},
      {"sin", unary<graph::SinOp>},
      {"cos", unary<graph::CosOp>},
      {"tanh", unary<graph::TanhOp>},
      {"erf", unary<graph::ErfOp>},
      {"special_ndtr", unary<graph::NdtrOp>},
      {"sigmoid", unary<graph::SigmoidOp>},
      {"ceil", ceil},
      {"trunc", trunc},
      {"log1p", log1p},
      {"tan", tan},
      {"square", square},
      {"add", add},
      {"sub", sub},
      {"subtract", sub},
      {"rsub", rsub},
      {"mul", mul},
      {"multiply", mul},
      {"div", div},
      {"divide", div},
      {"true_divide", div},
      {"floor_divide", floorDiv},
      {"remainder", remainder},
      {"pow", pow},
      {"maximum", binary<graph::MaximumOp>},
      {"minimum", binary<graph::MinimumOp>},
      {"clamp", clamp},
      {"clip", clamp},
      {"clamp_min", clamp},
      {"clamp_max", clamp},
      {"eq", compare<'e', 'q'>},
      {"ne", compare<'n', 'e'>},
      {"lt", compare<'l', 't'>},
      {"le", compare<'l', 'e'>},
      {"gt", compare<'g', 't'>},
      {"ge", compare<'g', 'e'>},
      {"isnan", isNan},
      {"logical_and", logical<graph::AndOp, false>},
      {"logical_or", logical<graph::OrOp, false>},
      {"__and__", logical<graph::AndOp, true>},
      {"__or__", logical<graph::OrOp, true>},
      {"bitwise_and", logical<graph::AndOp, true>},
      {"bitwise_or", logical<graph::OrOp, true>},
      {"__xor__", exclusiveOr<true>},
      {"bitwise_xor", exclusiveOr<true>},
      {"logical_xor", exclusiveOr<false>},
      {"bitwise_not", negation<true>},
      {"logical_not", negation<false>},
      {"where", where},
      {"masked_fill", maskedFill},
      {"addcmul", addcmul},
      {"addcdiv", addcdiv},
      {"lerp", lerp},
      {"zeros", fill<0>},
      {"zeros_like", fill<0>},
      {"new_zeros", fill<0>},
      {"zero", fill<0>},
      {"ones", fill<1>},
      {"ones_like", fill<1>},
      {"new_ones", fill<1>},
      {"full", full},
      {"full_like", full},
      {"new_full", full},
      {"fill", full},
      {"copy", copy},
      {"arange", arange}};
  for (auto [name, converter] : converters)
    table["aten::" + std::string(name)] = converter;
}
