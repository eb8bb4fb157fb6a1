//===- AtenOp.h - one aten op on its way to graph ops -----------------------------------------===//

#ifndef DEEPSHARD_FRONTENDS_TORCHSCRIPT_CONVERT_ATENOP_H
#define DEEPSHARD_FRONTENDS_TORCHSCRIPT_CONVERT_ATENOP_H

#include "dialects/graph/PrimitiveBuilder.h"
#include "frontends/torchscript/Plugin.h"

#include "llvm/ADT/StringMap.h"

namespace deepshard::torchscript {

/// Nothing for a type that the graph dialect lacks.
mlir::Type parseElementType(mlir::MLIRContext *context, llvm::StringRef name);

/// What a converter asks of the translation as a whole.
class TranslationState {
public:
  virtual ~TranslationState() = default;
  /// The type of the graph that stands for element type `name`; null if there is none.
  virtual mlir::Type elementType(llvm::StringRef name) const = 0;
  /// The value of a tensor of the imported graph.
  virtual mlir::Value valueOf(TensorRef ref) = 0;
  /// The counter of random ops, an argument of the program.
  virtual mlir::Value randomCounter() = 0;
  /// A new id for a random op, in import order.
  virtual int64_t nextRandomId() = 0;
  /// Whether row `row` of `table` is zero before training; nothing if `table` is no parameter whose
  /// data are known.
  virtual std::optional<bool> isZeroRow(TensorRef table, int64_t row) = 0;
};

/// Arguments and results of one aten op, and short names for what converters build again and again.
/// Dimensions may be given from the end (-1 is the last) where PyTorch allows it; results are
/// converted to the type that PyTorch gives.
class AtenOp {
public:
  AtenOp(const ImportedGraph &graph, const AtenNode &node, mlir::OpBuilder &builder,
         mlir::Location location, TranslationState &state)
      : graph(graph), node(node), builder(builder), location(location), state(state),
        b(builder, location) {}

  /// Arguments by the name in the op's schema. `has` is false for None and for names that the
  /// schema lacks.
  bool has(llvm::StringRef name) const;
  mlir::Value tensor(llvm::StringRef name);
  /// The tensor or, for a number, a scalar constant, as `elementType`.
  mlir::Value tensorOrScalar(llvm::StringRef name, mlir::Type elementType);
  llvm::SmallVector<mlir::Value> tensors(llvm::StringRef name);
  bool isTensor(llvm::StringRef name) const;
  int64_t integer(llvm::StringRef name, int64_t otherwise = 0) const;
  double number(llvm::StringRef name, double otherwise = 0) const;
  bool flag(llvm::StringRef name) const { return integer(name) != 0; }
  llvm::StringRef string(llvm::StringRef name) const;
  /// A list of integers; a single integer is a list of one.
  llvm::SmallVector<int64_t> integers(llvm::StringRef name) const;
  /// Dimensions, ascending and from the front; none given means all.
  llvm::SmallVector<int64_t> dims(llvm::StringRef name, int64_t rank) const;
  int64_t dim(llvm::StringRef name, int64_t rank) const;

  size_t resultCount() const { return node.results.size(); }
  mlir::RankedTensorType resultType(size_t i = 0) const;
  mlir::Type elementType(size_t i = 0) const { return resultType(i).getElementType(); }
  /// What PyTorch promotes `self` and `other` to.
  mlir::Type promotedType() const;

  /// Sets result `i`; converts the element type and repeats along dimensions of size 1 where
  /// needed.
  llvm::LogicalResult set(mlir::Value value, size_t i = 0);
  /// Says why this use of a supported op is not supported.
  llvm::LogicalResult unsupported(const llvm::Twine &why);
  llvm::StringRef reason() const { return why; }
  llvm::ArrayRef<mlir::Value> values() const { return results; }

  static llvm::ArrayRef<int64_t> shapeOf(mlir::Value value) {
    return graph::PrimitiveBuilder::typeOf(value).getShape();
  }
  static int64_t rankOf(mlir::Value value) { return shapeOf(value).size(); }
  static bool isFloat(mlir::Type type) { return mlir::isa<mlir::FloatType>(type); }

  /// A scalar constant; exact for integers.
  mlir::Value scalar(int64_t value, mlir::Type elementType);
  mlir::Value scalar(double value, mlir::Type elementType);
  /// A constant of one repeated value is converted at once.
  mlir::Value convert(mlir::Value value, mlir::Type elementType);
  /// Under NumPy's rules.
  mlir::Value broadcast(mlir::Value value, llvm::ArrayRef<int64_t> shape);
  mlir::Value transpose(mlir::Value value, llvm::ArrayRef<int64_t> permutation);
  mlir::Value swap(mlir::Value value, int64_t first, int64_t second);
  mlir::Value slice(mlir::Value value, int64_t dim, int64_t start, int64_t limit, int64_t step = 1);
  mlir::Value concat(mlir::ValueRange values, int64_t dim);
  mlir::Value pad(mlir::Value value, mlir::Value with, llvm::ArrayRef<int64_t> low,
                  llvm::ArrayRef<int64_t> high);
  mlir::Value sqrt(mlir::Value x);
  mlir::Value logicalNot(mlir::Value x);
  mlir::Value maximum(mlir::Value x, mlir::Value y);
  mlir::Value minimum(mlir::Value x, mlir::Value y);
  mlir::Value abs(mlir::Value x);

  const ImportedGraph &graph;
  const AtenNode &node;
  mlir::OpBuilder &builder;
  mlir::Location location;
  TranslationState &state;
  graph::PrimitiveBuilder b;

private:
  const Literal *find(llvm::StringRef name) const;

  llvm::SmallVector<mlir::Value> results;
  std::string why;
};

using Converter = llvm::LogicalResult (*)(AtenOp &);
using ConverterTable = llvm::StringMap<Converter>;

/// Adds the converters of one family, by aten name.
void addElementwise(ConverterTable &table);
void addActivations(ConverterTable &table);
void addLinearAlgebra(ConverterTable &table);
void addConvolution(ConverterTable &table);
void addLayout(ConverterTable &table);
void addShuffles(ConverterTable &table);
void addReductions(ConverterTable &table);
void addNormalization(ConverterTable &table);
void addLosses(ConverterTable &table);
void addAttention(ConverterTable &table);
void addIndexing(ConverterTable &table);

} // namespace deepshard::torchscript

#endif // DEEPSHARD_FRONTENDS_TORCHSCRIPT_CONVERT_ATENOP_H
