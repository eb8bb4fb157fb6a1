//===- PrimitiveBuilder.h - short names for building primitives -------------------------------===//
//
// Formulas read like formulas: `b.div(e, b.sum(e, dim))`. Elementwise calls broadcast as NumPy
// does.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_DIALECTS_GRAPH_PRIMITIVEBUILDER_H
#define DEEPSHARD_DIALECTS_GRAPH_PRIMITIVEBUILDER_H

#include "dialects/graph/Graph.h"

#include "mlir/IR/Builders.h"

namespace deepshard::graph {

class PrimitiveBuilder {
public:
  PrimitiveBuilder(mlir::OpBuilder &builder, mlir::Location location)
      : builder(builder), location(location) {}

  static mlir::RankedTensorType typeOf(mlir::Value value) {
    return llvm::cast<mlir::RankedTensorType>(value.getType());
  }
  static mlir::Type elementTypeOf(mlir::Value value) { return typeOf(value).getElementType(); }

  /// A scalar constant; integers are truncated.
  mlir::Value scalar(mlir::Type elementType, double value);
  /// A scalar constant of the element type of `like`.
  mlir::Value scalarLike(mlir::Value like, double value) {
    return scalar(elementTypeOf(like), value);
  }

  mlir::Value neg(mlir::Value x) { return NegOp::create(builder, location, x.getType(), x); }
  mlir::Value exp(mlir::Value x) { return ExpOp::create(builder, location, x.getType(), x); }
  mlir::Value log(mlir::Value x) { return LogOp::create(builder, location, x.getType(), x); }
  mlir::Value ndtr(mlir::Value x) { return NdtrOp::create(builder, location, x.getType(), x); }
  mlir::Value rsqrt(mlir::Value x) { return RsqrtOp::create(builder, location, x.getType(), x); }
  mlir::Value sigmoid(mlir::Value x) {
    return SigmoidOp::create(builder, location, x.getType(), x);
  }
  mlir::Value add(mlir::Value a, mlir::Value b) { return AddOp::create(builder, location, a, b); }
  mlir::Value sub(mlir::Value a, mlir::Value b) { return SubOp::create(builder, location, a, b); }
  mlir::Value mul(mlir::Value a, mlir::Value b) { return MulOp::create(builder, location, a, b); }
  mlir::Value div(mlir::Value a, mlir::Value b) { return DivOp::create(builder, location, a, b); }
  mlir::Value minimum(mlir::Value a, mlir::Value b) {
    return MinimumOp::create(builder, location, a, b);
  }
  mlir::Value add(mlir::Value a, double b) { return add(a, scalarLike(a, b)); }
  mlir::Value mul(mlir::Value a, double b) { return mul(a, scalarLike(a, b)); }
  mlir::Value div(mlir::Value a, double b) { return div(a, scalarLike(a, b)); }
  /// Direction is one of eq, ne, lt, le, gt, ge.
  mlir::Value compare(llvm::StringRef direction, mlir::Value a, mlir::Value b) {
    return CompareOp::create(builder, location, direction, a, b);
  }
  mlir::Value select(mlir::Value predicate, mlir::Value onTrue, mlir::Value onFalse) {
    return SelectOp::create(builder, location, predicate, onTrue, onFalse);
  }
  /// Logical and, or, not.
  mlir::Value both(mlir::Value a, mlir::Value b) { return AndOp::create(builder, location, a, b); }
  mlir::Value either(mlir::Value a, mlir::Value b) { return OrOp::create(builder, location, a, b); }
  mlir::Value negation(mlir::Value x) { return NotOp::create(builder, location, x.getType(), x); }
  mlir::Value convert(mlir::Value x, mlir::Type elementType);

  /// Reductions; reduced dimensions stay with size 1 if `keep`.
  mlir::Value sum(mlir::Value x, llvm::ArrayRef<int64_t> dims, bool keep = true) {
    return ReduceSumOp::create(builder, location, x, dims, keep);
  }
  mlir::Value max(mlir::Value x, llvm::ArrayRef<int64_t> dims, bool keep = true) {
    return ReduceMaxOp::create(builder, location, x, dims, keep);
  }
  mlir::Value logSumExp(mlir::Value x, llvm::ArrayRef<int64_t> dims, bool keep = true) {
    return ReduceLogSumExpOp::create(builder, location, x, dims, keep);
  }

  mlir::Value reshape(mlir::Value x, llvm::ArrayRef<int64_t> shape);
  /// 0, 1, ... along `dim` of a tensor of shape `shape`.
  mlir::Value iota(mlir::Type elementType, llvm::ArrayRef<int64_t> shape, int64_t dim);
  mlir::Value gather(mlir::Value x, mlir::Value index, int64_t dim) {
    return GatherOp::create(builder, location, x, index, dim);
  }
  mlir::Value matmul(mlir::Value lhs, mlir::Value rhs, llvm::ArrayRef<int64_t> batch,
                     llvm::ArrayRef<int64_t> lhsContract, llvm::ArrayRef<int64_t> rhsContract) {
    return MatmulOp::create(builder, location, lhs, rhs, batch, batch, lhsContract, rhsContract);
  }
  /// The same with a result of `elementType`.
  mlir::Value matmul(mlir::Value lhs, mlir::Value rhs, llvm::ArrayRef<int64_t> batch,
                     llvm::ArrayRef<int64_t> lhsContract, llvm::ArrayRef<int64_t> rhsContract,
                     mlir::Type elementType) {
    mlir::TypeAttr type =
        elementType == elementTypeOf(lhs) ? mlir::TypeAttr() : mlir::TypeAttr::get(elementType);
    return MatmulOp::create(builder, location, lhs, rhs, batch, batch, lhsContract, rhsContract,
                            type);
  }
  /// `offsets` and `globalShape` say where x lies in a larger tensor; null: it is the whole.
  mlir::Value dropout(mlir::Value x, mlir::Value counter, mlir::Value offsets, mlir::FloatAttr p,
                      mlir::IntegerAttr id, mlir::DenseI64ArrayAttr globalShape) {
    return DropoutOp::create(builder, location, x, counter, offsets, p, id, globalShape);
  }

private:
  mlir::OpBuilder &builder;
  mlir::Location location;
};

} // namespace deepshard::graph

#endif // DEEPSHARD_DIALECTS_GRAPH_PRIMITIVEBUILDER_H
