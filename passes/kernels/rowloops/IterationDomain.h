//===- IterationDomain.h - the loops that a group of graph ops shares -------------------------===//
//
// Ops that work element by element, reduce or rename dimensions can be computed by one nest of
// loops. Its dimensions are those of the largest tensor; every other tensor of the group spans some
// of them. They are cut into rows (the leading ones) and columns (the trailing ones) where the
// group reduces.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_KERNELS_ROWLOOPS_ITERATIONDOMAIN_H
#define DEEPSHARD_PASSES_KERNELS_ROWLOOPS_ITERATIONDOMAIN_H

#include "dialects/graph/Graph.h"

#include "llvm/ADT/DenseMap.h"

#include <optional>
#include <string>

namespace deepshard {

/// How often a value computed by a group is computed.
enum class Span {
  Scalar, // it has one element
  Row,    // once a row: it spans row dimensions only
  Column, // for each column: it spans column dimensions only
  Full    // for each column of each row
};

/// Which way a reduction of a group goes.
enum class Direction {
  AlongColumns, // the result spans the rows
  AlongRows     // the result spans the columns
};

/// Whether `op` is one that a group may hold: a primitive that works element by element, a
/// reduction by sum, maximum or minimum, dropout, or one that only renames dimensions, on element
/// types that kernels are generated for (all but f64). A constant belongs to a group if all
/// its elements are equal, an iota if its other dimensions are 1.
bool isFusible(mlir::Operation *op);

/// Whether `op` has no operands: a constant or an iota. Every group that reads it has its own.
bool isLeaf(mlir::Operation *op);

/// Whether `op` only renames dimensions: reshape, transpose or broadcast.
bool isRenaming(mlir::Operation *op);

class IterationDomain {
public:
  /// The domain of `ops`, which are in the order of the program and all fusible; nothing if no
  /// nest of loops fits them all. Each of `outputs`, and each reduction, spans all rows, all
  /// columns or both; other values may span less. O(dimensions of all operands).
  static std::optional<IterationDomain> of(llvm::ArrayRef<mlir::Operation *> ops,
                                           llvm::ArrayRef<mlir::Value> outputs);

  /// Sizes of the dimensions, none of them 1.
  llvm::ArrayRef<int64_t> getSizes() const { return sizes; }
  /// How many leading dimensions are rows; nothing if the group leaves the choice.
  std::optional<unsigned> getRowDims() const { return rowDims; }

  /// For every dimension of the tensor the dimension of the domain it runs along; -1 for a size of
  /// 1. For results and operands of the group's ops.
  llvm::ArrayRef<int> dimsOf(mlir::Value value) const {
    auto it = dims.find(value);
    return it == dims.end() ? llvm::ArrayRef<int>() : llvm::ArrayRef<int>(it->second);
  }
  /// Only for values that ops of the group compute.
  Span spanOf(mlir::Value value) const;
  static bool isReduction(mlir::Operation *op);
  Direction directionOf(mlir::Operation *reduction) const;

private:
  /// The dimensions of the domain that `value` spans, ascending.
  llvm::SmallVector<int> spanned(mlir::Value value) const;

  llvm::SmallVector<int64_t> sizes;
  std::optional<unsigned> rowDims;
  llvm::DenseMap<mlir::Value, llvm::SmallVector<int>> dims;
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_KERNELS_ROWLOOPS_ITERATIONDOMAIN_H
