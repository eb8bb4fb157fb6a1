//===- Lanes.h - arithmetic on scalars and vectors alike --------------------------------------===//
//
// Builds operations whose operands are all scalars, or all vectors of one shape: a formula is
// written once for both. `f32`, `i64`, ... name element types; constants are splats.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_KERNELS_CODEGEN_LANES_H
#define DEEPSHARD_PASSES_KERNELS_CODEGEN_LANES_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/TypeUtilities.h"

namespace deepshard {

class Lanes {
public:
  using Value = mlir::Value;
  using Comparison = mlir::arith::CmpFPredicate;
  using IntegerComparison = mlir::arith::CmpIPredicate;

  /// Lanes as those of `type`.
  Lanes(mlir::OpBuilder &builder, mlir::Location location, mlir::Type type)
      : builder(builder), location(location), shape(llvm::dyn_cast<mlir::VectorType>(type)) {}

  mlir::OpBuilder &builder;
  mlir::Location location;
  /// Whether 2^x is an instruction.
  bool hasExp2 = false;

  mlir::Type f32() { return lanesOf(builder.getF32Type()); }
  mlir::Type f64() { return lanesOf(builder.getF64Type()); }
  mlir::Type bf16() { return lanesOf(builder.getBF16Type()); }
  mlir::Type i16() { return lanesOf(builder.getI16Type()); }
  mlir::Type i32() { return lanesOf(builder.getI32Type()); }
  mlir::Type i64() { return lanesOf(builder.getI64Type()); }
  bool areVector() const { return static_cast<bool>(shape); }

  /// A float constant of a float type, rounded to it.
  Value constant(mlir::Type type, double value) {
    return splat(type, builder.getFloatAttr(mlir::getElementTypeOrSelf(type), value));
  }
  Value f32(double value) { return constant(f32(), value); }
  Value f64(double value) { return constant(f64(), value); }
  Value i32(int64_t value) { return splat(i32(), builder.getI32IntegerAttr(value)); }
  Value i64(int64_t value) { return splat(i64(), builder.getI64IntegerAttr(value)); }

  Value add(Value a, Value b) { return make<mlir::arith::AddFOp>(a, b); }
  Value sub(Value a, Value b) { return make<mlir::arith::SubFOp>(a, b); }
  Value mul(Value a, Value b) { return make<mlir::arith::MulFOp>(a, b); }
  Value div(Value a, Value b) { return make<mlir::arith::DivFOp>(a, b); }
  Value neg(Value a) { return make<mlir::arith::NegFOp>(a); }
  Value abs(Value a) { return make<mlir::math::AbsFOp>(a); }
  Value floor(Value a) { return make<mlir::math::FloorOp>(a); }
  Value exp2(Value a) { return make<mlir::math::Exp2Op>(a); }
  Value fma(Value a, Value b, Value c) { return make<mlir::math::FmaOp>(a, b, c); }
  Value copySign(Value magnitude, Value sign) {
    return make<mlir::math::CopySignOp>(magnitude, sign);
  }
  /// c[0] x^n + ... + c[n].
  Value polynomial(Value x, llvm::ArrayRef<double> coefficients) {
    Value sum = constant(x.getType(), coefficients.front());
    for (double coefficient : coefficients.drop_front())
      sum = fma(sum, x, constant(x.getType(), coefficient));
    return sum;
  }

  Value addi(Value a, Value b) { return make<mlir::arith::AddIOp>(a, b); }
  Value subi(Value a, Value b) { return make<mlir::arith::SubIOp>(a, b); }
  Value muli(Value a, Value b) { return make<mlir::arith::MulIOp>(a, b); }
  Value andi(Value a, Value b) { return make<mlir::arith::AndIOp>(a, b); }
  Value ori(Value a, Value b) { return make<mlir::arith::OrIOp>(a, b); }
  Value xori(Value a, Value b) { return make<mlir::arith::XOrIOp>(a, b); }
  Value shiftLeft(Value a, Value b) { return make<mlir::arith::ShLIOp>(a, b); }
  Value shiftRight(Value a, Value b) { return make<mlir::arith::ShRUIOp>(a, b); }
  Value shiftRightSigned(Value a, Value b) { return make<mlir::arith::ShRSIOp>(a, b); }

  Value compare(Comparison predicate, Value a, Value b) {
    return make<mlir::arith::CmpFOp>(predicate, a, b);
  }
  Value compare(IntegerComparison predicate, Value a, Value b) {
    return make<mlir::arith::CmpIOp>(predicate, a, b);
  }
  Value select(Value predicate, Value onTrue, Value onFalse) {
    return make<mlir::arith::SelectOp>(predicate, onTrue, onFalse);
  }

  Value bitcast(mlir::Type type, Value a) { return make<mlir::arith::BitcastOp>(type, a); }
  Value extend(mlir::Type type, Value a) { return make<mlir::arith::ExtFOp>(type, a); }
  Value round(mlir::Type type, Value a) { return make<mlir::arith::TruncFOp>(type, a); }
  Value extendSigned(mlir::Type type, Value a) { return make<mlir::arith::ExtSIOp>(type, a); }
  Value extendUnsigned(mlir::Type type, Value a) { return make<mlir::arith::ExtUIOp>(type, a); }
  Value truncate(mlir::Type type, Value a) { return make<mlir::arith::TruncIOp>(type, a); }
  Value toFloat(mlir::Type type, Value a) { return make<mlir::arith::SIToFPOp>(type, a); }

private:
  template <typename Op, typename... Args> Value make(Args &&...args) {
    return Op::create(builder, location, std::forward<Args>(args)...);
  }
  mlir::Type lanesOf(mlir::Type element) {
    return shape ? mlir::Type(shape.clone(element)) : element;
  }
  Value splat(mlir::Type type, mlir::TypedAttr value) {
    if (auto vector = llvm::dyn_cast<mlir::VectorType>(type))
      value = mlir::DenseElementsAttr::get(vector, mlir::Attribute(value));
    return make<mlir::arith::ConstantOp>(value);
  }

  mlir::VectorType shape; // null: scalars
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_KERNELS_CODEGEN_LANES_H
