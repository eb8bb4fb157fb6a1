//===- GroupGenerator.h - random groups of ops for one kernel ---------------------------------===//

#ifndef DEEPSHARD_TEST_UNIT_ROWLOOPS_GROUPGENERATOR_H
#define DEEPSHARD_TEST_UNIT_ROWLOOPS_GROUPGENERATOR_H

#include "dialects/graph/Graph.h"
#include "dialects/graph/PrimitiveBuilder.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"

#include <random>

namespace deepshard {

/// Numbers (f32), counted in a random type, along one dimension of `shape`. Of several dimensions
/// of columns none is counted: they are one loop.
mlir::Value randomCounts(mlir::OpBuilder &builder, llvm::ArrayRef<int64_t> shape, unsigned rowDims,
                         std::mt19937_64 &random);

/// Functions that one nest of row loops can compute: elementwise ops on broadcast operands,
/// reductions along columns and rows, dropout, iotas, conversions to bf16, f16 and back. Values
/// stay near 1, so that differences are rounding.
class GroupGenerator {
public:
  using Random = std::mt19937_64;

  GroupGenerator(mlir::ModuleOp module, Random &random) : module(module), random(random) {}

  /// A function of about `ops` ops. `rank` dimensions from 1 on.
  mlir::func::FuncOp generate(const std::string &name, int ops);

private:
  int64_t pick(int64_t count) { return static_cast<int64_t>(random() % count); }
  bool chance(double p) { return std::uniform_real_distribution<>()(random) < p; }

  mlir::Type narrowType(); // bf16 or f16
  mlir::Value argument(mlir::RankedTensorType type);
  /// An argument of the domain's shape with some dimensions 1 or leading ones missing.
  mlir::Value newInput();
  /// A value of the program that spans everything, or a new input.
  mlir::Value full();
  mlir::Value any();
  /// Brings the elements of `x` back near 1.
  mlir::Value tamed(mlir::Value x);
  mlir::Value elementwise();
  void append();

  mlir::ModuleOp module;
  Random &random;
  mlir::OpBuilder *builder = nullptr;
  mlir::func::FuncOp function;
  llvm::SmallVector<int64_t> shape;
  unsigned rowDims = 0;
  bool reduces = false;
  llvm::SmallVector<mlir::Value> fulls, rows, sums;
  mlir::Value counter;
};

} // namespace deepshard

#endif // DEEPSHARD_TEST_UNIT_ROWLOOPS_GROUPGENERATOR_H
