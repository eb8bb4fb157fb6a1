//===- EmitElement.cpp - one graph op on vectors or scalars -----------------------------------===//

#include "passes/kernels/rowloops/EmitElement.h"

#include "dialects/graph/Graph.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>
#include <limits>

using namespace mlir;

namespace deepshard {

Type withElementType(Type like, Type element) {
  auto vector = dyn_cast<VectorType>(like);
  return vector ? Type(VectorType::get(vector.getShape(), element)) : element;
}

bool isNarrowFloat(Type element) { return element.isBF16() || element.isF16(); }

Value emitSplat(OpBuilder &builder, Location location, Type type, TypedAttr value) {
  if (auto vector = dyn_cast<VectorType>(type))
    value = DenseElementsAttr::get(vector, Attribute(value));
  return arith::ConstantOp::create(builder, location, value);
}

namespace {

class Emitter {
public:
  // No operation is fused with another or reordered: an element has the same bits in every group.
  Emitter(OpBuilder &builder, Location location) : b(builder), loc(location) {}

  Value number(Type type, double value) {
    Type element = getElementTypeOrSelf(type);
    TypedAttr attribute = isa<FloatType>(element)
                              ? TypedAttr(b.getFloatAttr(element, value))
                              : TypedAttr(b.getIntegerAttr(element, static_cast<int64_t>(value)));
    return emitSplat(b, loc, type, attribute);
  }

  Value add(Value x, Value y) { return arith::AddFOp::create(b, loc, x, y); }
  Value sub(Value x, Value y) { return arith::SubFOp::create(b, loc, x, y); }
  Value mul(Value x, Value y) { return arith::MulFOp::create(b, loc, x, y); }
  Value div(Value x, Value y) { return arith::DivFOp::create(b, loc, x, y); }
  Value neg(Value x) { return arith::NegFOp::create(b, loc, x); }
  Value compare(arith::CmpFPredicate predicate, Value x, Value y) {
    return arith::CmpFOp::create(b, loc, predicate, x, y);
  }
  Value compare(arith::CmpIPredicate predicate, Value x, Value y) {
    return arith::CmpIOp::create(b, loc, predicate, x, y);
  }
  Value select(Value condition, Value x, Value y) {
    return arith::SelectOp::create(b, loc, condition, x, y);
  }
  /// The one of x and y that wins, y if they are equal, NaN if one is: as the reference kernels do
  /// it, zeros of both signs included, and two instructions.
  Value extremum(arith::CmpFPredicate wins, Value x, Value y) {
    Value better = select(compare(wins, x, y), x, y);
    return select(compare(arith::CmpFPredicate::UNO, x, x), x, better);
  }

  Value widen(Value x) {
    return arith::ExtFOp::create(b, loc, withElementType(x.getType(), b.getF32Type()), x);
  }
  Value narrow(Value x, Type element) {
    return arith::TruncFOp::create(b, loc, withElementType(x.getType(), element), x);
  }

  Value onFloats(Operation *op, ValueRange x);
  Value onIntegers(Operation *op, ValueRange x);
  Value convert(Value x, Type to);
  Value truncate(Value x, Type to);
  Value compareBy(StringRef direction, Value x, Value y);

private:
  OpBuilder &b;
  Location loc;
};

Value Emitter::onFloats(Operation *op, ValueRange x) {
  Type type = x[0].getType();
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case([&](graph::AddOp) { return add(x[0], x[1]); })
      .Case([&](graph::SubOp) { return sub(x[0], x[1]); })
      .Case([&](graph::MulOp) { return mul(x[0], x[1]); })
      .Case([&](graph::DivOp) { return div(x[0], x[1]); })
      .Case([&](graph::MaximumOp) { return extremum(arith::CmpFPredicate::OGT, x[0], x[1]); })
      .Case([&](graph::MinimumOp) { return extremum(arith::CmpFPredicate::OLT, x[0], x[1]); })
      .Case([&](graph::NegOp) { return neg(x[0]); })
      .Case([&](graph::AbsOp) { return math::AbsFOp::create(b, loc, x[0]); })
      .Case([&](graph::FloorOp) { return math::FloorOp::create(b, loc, x[0]); })
      .Case([&](graph::ExpOp) { return math::ExpOp::create(b, loc, x[0]); })
      .Case([&](graph::LogOp) { return math::LogOp::create(b, loc, x[0]); })
      .Case([&](graph::SqrtOp) { return math::SqrtOp::create(b, loc, x[0]); })
      .Case(
          [&](graph::RsqrtOp) { return div(number(type, 1), math::SqrtOp::create(b, loc, x[0])); })
      .Case([&](graph::ReciprocalOp) { return div(number(type, 1), x[0]); })
      .Case([&](graph::SinOp) { return math::SinOp::create(b, loc, x[0]); })
      .Case([&](graph::CosOp) { return math::CosOp::create(b, loc, x[0]); })
      .Case([&](graph::TanhOp) { return math::TanhOp::create(b, loc, x[0]); })
      .Case([&](graph::ErfOp) { return math::ErfOp::create(b, loc, x[0]); })
      .Case([&](graph::NdtrOp) { return emitNdtr(b, loc, x[0]); })
      .Case([&](graph::SigmoidOp) {
        // e^-|x| is at most 1: what is nearly 0 does not become 0 by an infinity.
        Value power = math::ExpOp::create(b, loc, neg(math::AbsFOp::create(b, loc, x[0])));
        Value isBelow = compare(arith::CmpFPredicate::OLT, x[0], number(type, 0));
        return div(select(isBelow, power, number(type, 1)), add(number(type, 1), power));
      })
      .Case([&](graph::SignOp) {
        // NaN is neither above nor below 0: its sign is 0.
        Value zero = number(type, 0);
        Value below =
            select(compare(arith::CmpFPredicate::OLT, x[0], zero), number(type, -1), zero);
        return select(compare(arith::CmpFPredicate::OGT, x[0], zero), number(type, 1), below);
      })
      .Default([](Operation *) { return Value(); });
}

Value Emitter::onIntegers(Operation *op, ValueRange x) {
  Type type = x[0].getType();
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case([&](graph::AddOp) { return arith::AddIOp::create(b, loc, x[0], x[1]); })
      .Case([&](graph::SubOp) { return arith::SubIOp::create(b, loc, x[0], x[1]); })
      .Case([&](graph::MulOp) { return arith::MulIOp::create(b, loc, x[0], x[1]); })
      .Case([&](graph::MaximumOp) { return arith::MaxSIOp::create(b, loc, x[0], x[1]); })
      .Case([&](graph::MinimumOp) { return arith::MinSIOp::create(b, loc, x[0], x[1]); })
      .Case([&](graph::NegOp) { return arith::SubIOp::create(b, loc, number(type, 0), x[0]); })
      .Case([&](graph::AndOp) { return arith::AndIOp::create(b, loc, x[0], x[1]); })
      .Case([&](graph::OrOp) { return arith::OrIOp::create(b, loc, x[0], x[1]); })
      .Case([&](graph::NotOp) { return arith::XOrIOp::create(b, loc, x[0], number(type, 1)); })
      .Default([](Operation *) { return Value(); });
}

Value Emitter::compareBy(StringRef direction, Value x, Value y) {
  if (isa<FloatType>(getElementTypeOrSelf(x.getType()))) {
    using P = arith::CmpFPredicate;
    auto predicate = llvm::StringSwitch<P>(direction)
                         .Case("eq", P::OEQ)
                         .Case("ne", P::UNE)
                         .Case("lt", P::OLT)
                         .Case("le", P::OLE)
                         .Case("gt", P::OGT)
                         .Default(P::OGE);
    return compare(predicate, x, y);
  }
  using P = arith::CmpIPredicate;
  bool isFlag = getElementTypeOrSelf(x.getType()).isInteger(1);
  auto predicate = llvm::StringSwitch<P>(direction)
                       .Case("eq", P::eq)
                       .Case("ne", P::ne)
                       .Case("lt", isFlag ? P::ult : P::slt)
                       .Case("le", isFlag ? P::ule : P::sle)
                       .Case("gt", isFlag ? P::ugt : P::sgt)
                       .Default(isFlag ? P::uge : P::sge);
  return compare(predicate, x, y);
}

/// f32 to an integer, by truncation. What the integer cannot hold becomes its nearest bound, NaN
/// becomes 0.
Value Emitter::truncate(Value x, Type to) {
  unsigned bits = getElementTypeOrSelf(to).getIntOrFloatBitWidth();
  // The first number above the range, a power of two.
  Value above = number(x.getType(), std::ldexp(1.0, static_cast<int>(bits) - 1));
  Value below = number(x.getType(), -std::ldexp(1.0, static_cast<int>(bits) - 1));
  Value isAbove = compare(arith::CmpFPredicate::OGE, x, above);
  Value isWithin = arith::AndIOp::create(b, loc, compare(arith::CmpFPredicate::OLT, x, above),
                                         compare(arith::CmpFPredicate::OGE, x, below));
  Value isNaN = compare(arith::CmpFPredicate::UNO, x, x);
  // Outside of its range the conversion gives no number at all.
  Value inside = arith::FPToSIOp::create(b, loc, to, select(isWithin, x, number(x.getType(), 0)));
  auto bound = [&](const llvm::APInt &value) {
    return emitSplat(b, loc, to, b.getIntegerAttr(getElementTypeOrSelf(to), value));
  };
  Value outside = select(isAbove, bound(llvm::APInt::getSignedMaxValue(bits)),
                         bound(llvm::APInt::getSignedMinValue(bits)));
  outside = select(isNaN, number(to, 0), outside);
  return select(isWithin, inside, outside);
}

Value Emitter::convert(Value x, Type to) {
  Type from = getElementTypeOrSelf(x.getType());
  Type element = getElementTypeOrSelf(to);
  if (from == element)
    return x;
  if (isNarrowFloat(from))
    return convert(widen(x), to);
  if (from.isF32()) {
    if (isNarrowFloat(element))
      return narrow(x, element);
    if (element.isInteger(1))
      return compare(arith::CmpFPredicate::UNE, x, number(x.getType(), 0));
    return truncate(x, to);
  }
  if (isNarrowFloat(element))
    return narrow(convert(x, withElementType(to, b.getF32Type())), element);
  if (element.isF32())
    return from.isInteger(1) ? Value(arith::UIToFPOp::create(b, loc, to, x))
                             : Value(arith::SIToFPOp::create(b, loc, to, x));
  if (element.isInteger(1))
    return compare(arith::CmpIPredicate::ne, x, number(x.getType(), 0));
  if (from.isInteger(1))
    return arith::ExtUIOp::create(b, loc, to, x);
  return from.getIntOrFloatBitWidth() < element.getIntOrFloatBitWidth()
             ? Value(arith::ExtSIOp::create(b, loc, to, x))
             : Value(arith::TruncIOp::create(b, loc, to, x));
}

} // namespace

bool isTranscendental(Operation *op) {
  return isa<graph::ExpOp, graph::SigmoidOp, graph::LogOp, graph::TanhOp, graph::ErfOp,
             graph::NdtrOp, graph::SinOp, graph::CosOp>(op);
}

bool canEmitElement(Operation *op) {
  Type type = cast<RankedTensorType>(op->getOperand(0).getType()).getElementType();
  if (isa<graph::DivOp>(op))
    return isa<FloatType>(type); // a vector of integers is divided one by one
  if (auto convert = dyn_cast<graph::ConvertOp>(op))
    // By way of f32 it would be rounded twice.
    return !isNarrowFloat(convert.getY().getType().getElementType()) || !type.isIntOrIndex() ||
           type.isInteger(1);
  return isa<graph::AddOp, graph::SubOp, graph::MulOp, graph::MaximumOp, graph::MinimumOp,
             graph::NegOp, graph::FloorOp, graph::SqrtOp, graph::RsqrtOp, graph::ReciprocalOp,
             graph::AndOp, graph::OrOp, graph::NotOp, graph::CompareOp, graph::SelectOp,
             graph::ConvertOp>(op) ||
         isTranscendental(op) || (isa<graph::AbsOp, graph::SignOp>(op) && isa<FloatType>(type));
}

Value emitElement(OpBuilder &builder, Operation *op, ValueRange operands) {
  Emitter emitter(builder, op->getLoc());
  if (isa<graph::SelectOp>(op))
    return emitter.select(operands[0], operands[1], operands[2]);
  Type element = cast<RankedTensorType>(op->getResult(0).getType()).getElementType();
  if (isa<graph::ConvertOp>(op))
    return emitter.convert(operands[0], withElementType(operands[0].getType(), element));
  SmallVector<Value> x(operands);
  bool isNarrow = isNarrowFloat(getElementTypeOrSelf(x[0].getType()));
  if (isNarrow)
    for (Value &value : x)
      value = emitter.widen(value);
  if (auto compare = dyn_cast<graph::CompareOp>(op))
    return emitter.compareBy(compare.getDirection(), x[0], x[1]);
  if (!isa<FloatType>(getElementTypeOrSelf(x[0].getType())))
    return emitter.onIntegers(op, x);
  Value result = emitter.onFloats(op, x);
  return isNarrow ? emitter.narrow(result, element) : result;
}

Value emitCombine(OpBuilder &builder, Operation *reduction, Value a, Value b) {
  Location location = reduction->getLoc();
  if (isa<graph::ReduceMaxOp>(reduction))
    return arith::MaximumFOp::create(builder, location, a, b);
  if (isa<graph::ReduceMinOp>(reduction))
    return arith::MinimumFOp::create(builder, location, a, b);
  return arith::AddFOp::create(builder, location, a, b);
}

float neutralElement(Operation *reduction) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  if (isa<graph::ReduceMaxOp>(reduction))
    return -infinity;
  return isa<graph::ReduceMinOp>(reduction) ? infinity : 0;
}

} // namespace deepshard
