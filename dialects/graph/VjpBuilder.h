//===- VjpBuilder.h - what a gradient rule sees -----------------------------------------------===//

#ifndef DEEPSHARD_DIALECTS_GRAPH_VJPBUILDER_H
#define DEEPSHARD_DIALECTS_GRAPH_VJPBUILDER_H

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"

#include <utility>

namespace deepshard::graph {

/// Collects cotangents while the ops of a function are visited in reverse. One object per op
/// visited; the pass `differentiate` implements it.
class VjpBuilder {
public:
  virtual ~VjpBuilder() = default;
  /// Inserts behind the forward ops; new ops are marked as backward ones.
  virtual mlir::OpBuilder &builder() = 0;
  /// The location of the op visited.
  virtual mlir::Location location() const = 0;
  /// The summed cotangent of a result, of the result's type; null: nothing flows into it.
  virtual mlir::Value cotangent(unsigned result) = 0;
  /// The same, with zeros instead of null.
  virtual mlir::Value cotangentOrZero(unsigned result) = 0;
  /// Whether a parameter depends on operand `operand`.
  virtual bool wants(unsigned operand) const = 0;
  /// The element type in which the cotangent of `operand` is summed: the operand's own, but f32 for
  /// a parameter, or a copy of one, that is narrower.
  virtual mlir::Type gradientType(unsigned operand) const = 0;
  /// Adds to the cotangent of an operand. Dimensions along which the op broadcast the operand are
  /// summed first; after that `value` must have the operand's shape. Its element type is converted.
  /// Ignored where the operand is not wanted.
  virtual void add(unsigned operand, mlir::Value value) = 0;

  /// Undoes broadcasting: sums added leading dimensions and dimensions that are 1 in `type`.
  mlir::Value reduceTo(mlir::Value value, mlir::RankedTensorType type);
  /// A splat constant of type `type`.
  mlir::Value splat(mlir::RankedTensorType type, double value);
  /// A constant of rank 0 with the element type of `like`, to be broadcast.
  mlir::Value scalar(mlir::Value like, double value);
  /// `value` in another element type; itself if it has that. A value that was only just rounded
  /// from `elementType` is that value before it was.
  mlir::Value convert(mlir::Value value, mlir::Type elementType);
  /// `gradientType` for ops that take it as an attribute: null if results have it anyway.
  mlir::TypeAttr accumulatedType(unsigned operand, mlir::Value like) const;
  /// `value` under another shape; itself if it has the shape.
  mlir::Value reshape(mlir::Value value, mlir::RankedTensorType type);

  /// Builds an op with one result at the location of the op visited, folded where it folds.
  template <typename Op, typename... Args> mlir::Value make(Args &&...args) {
    return builder().createOrFold<Op>(location(), std::forward<Args>(args)...);
  }
};

} // namespace deepshard::graph

#endif // DEEPSHARD_DIALECTS_GRAPH_VJPBUILDER_H
