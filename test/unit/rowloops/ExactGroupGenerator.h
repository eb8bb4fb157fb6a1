//===- ExactGroupGenerator.h - random groups of ops that round in one way only ----------------===//

#ifndef DEEPSHARD_TEST_UNIT_ROWLOOPS_EXACTGROUPGENERATOR_H
#define DEEPSHARD_TEST_UNIT_ROWLOOPS_EXACTGROUPGENERATOR_H

#include "dialects/graph/Graph.h"
#include "dialects/graph/PrimitiveBuilder.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"

#include <random>

namespace deepshard {

/// Functions that one nest of row loops can compute, with ops on f32, bf16 and f16 of which every
/// bit is defined whatever their inputs are, NaN and infinities too: arithmetic, comparisons and
/// choices, conversions among the types, dropout, transposed inputs, iotas, maxima along columns
/// and rows.
class ExactGroupGenerator {
public:
  using Random = std::mt19937_64;

  ExactGroupGenerator(mlir::ModuleOp module, Random &random) : module(module), random(random) {}

  /// A function of about `ops` ops.
  mlir::func::FuncOp generate(const std::string &name, int ops);

private:
  int64_t pick(int64_t count) { return static_cast<int64_t>(random() % count); }
  bool chance(double p) { return std::uniform_real_distribution<>()(random) < p; }

  mlir::Type anyType();
  mlir::Value argument(llvm::ArrayRef<int64_t> sizes, mlir::Type element);
  /// An argument with some dimensions 1, leading ones missing, or in another order.
  mlir::Value newInput();
  /// A value that spans everything.
  mlir::Value full();
  /// A value, as `element`, to combine with one that spans everything.
  mlir::Value other(mlir::Type element);
  mlir::Value unary(mlir::Value x);
  mlir::Value binary(mlir::Value x, mlir::Value y);
  void append();

  mlir::ModuleOp module;
  Random &random;
  mlir::OpBuilder *builder = nullptr;
  mlir::func::FuncOp function;
  llvm::SmallVector<int64_t> shape;
  unsigned rowDims = 0;
  llvm::SmallVector<mlir::Value> fulls, rows, columns;
  mlir::Value counter;
};

} // namespace deepshard

#endif // DEEPSHARD_TEST_UNIT_ROWLOOPS_EXACTGROUPGENERATOR_H
