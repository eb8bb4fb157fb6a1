//===- ProgramGenerator.h - random programs that compute with integers ------------------------===//
//
// Floats of these programs are integers below 2^22, so sums are exact in any order and in any
// floating type: a program split over ranks must give the numbers of the whole one, bit for bit.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_TEST_UNIT_SHARDING_PROGRAMGENERATOR_H
#define DEEPSHARD_TEST_UNIT_SHARDING_PROGRAMGENERATOR_H

#include "dialects/graph/HostTensor.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"

#include <random>
#include <vector>

namespace deepshard::sharding {

/// Appends random ops to a function until it has as many as asked for.
class ProgramGenerator {
public:
  using Random = std::mt19937_64;

  /// Floats of the program are `elementType`.
  ProgramGenerator(mlir::Type elementType, Random &random);

  /// A function called @micro_batch of `ops` ops at `builder`. Arguments are tensors of small
  /// integers; argument 0 is the counter of random numbers. It returns one to four values.
  mlir::func::FuncOp generate(mlir::OpBuilder builder, int ops);

  /// A value for each argument of the generated function; zeros for the counter.
  std::vector<graph::HostTensor> arguments() const { return data; }

private:
  /// A float tensor of the program; no element's magnitude is above `bound`.
  struct Known {
    mlir::Value value;
    double bound = 0;
    llvm::ArrayRef<int64_t> shape() const;
  };

  int64_t pick(int64_t count) { return static_cast<int64_t>(random() % count); }
  bool coin() { return random() % 2 == 0; }
  int64_t pickSize();
  Known pickKnown(int64_t minRank);
  mlir::Value argument(mlir::RankedTensorType type, int64_t low, int64_t high);
  /// Known tensor of this shape: one of the program or a new argument.
  Known ofShape(llvm::ArrayRef<int64_t> shape);
  Known newTensor(llvm::ArrayRef<int64_t> shape);
  mlir::Value ids(llvm::ArrayRef<int64_t> shape, int64_t rows);
  mlir::Value scalar(double value);
  void keep(mlir::Value value, double bound);

  void appendUnary();
  void appendBinary();
  void appendSelect();
  void appendLinear();
  void appendMatmul();
  void appendReduction();
  void appendReshape();
  void appendTranspose();
  void appendBroadcast();
  void appendSlice();
  void appendPad();
  void appendConcat();
  void appendEmbedding();
  void appendEmbeddingGrad();
  void appendGather();
  void appendScatterAdd();
  void appendDropout();
  void appendIota();

  mlir::Type elementType;
  Random &random;
  mlir::OpBuilder builder;
  mlir::Location location;
  mlir::Block *body = nullptr;
  std::vector<Known> known;
  std::vector<graph::HostTensor> data;
  int64_t randomIds = 0;
};

} // namespace deepshard::sharding

#endif // DEEPSHARD_TEST_UNIT_SHARDING_PROGRAMGENERATOR_H
