//===- VjpBuilder.h - what a gradient rule sees ---------------------------------------------===//

#ifndef DEEPSHARD_DIALECTS_GRAPH_VJPBUILDER_H
#define DEEPSHARD_DIALECTS_GRAPH_VJPBUILDER_H

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"

namespace deepshard::graph {

/// Collects cotangents while the ops of a function are visited in reverse. One object per op visited; the pass
/// `differentiate` implements it.
class VjpBuilder {
public:
  virtual ~VjpBuilder() = default;
  /// Inserts behind the forward ops; new ops carry the op's location.
  virtual mlir::OpBuilder &builder() = 0;
  virtual mlir::Location location() const = 0;
  /// The summed cotangent of a result, of the result's type; null: nothing flows into it.
  virtual mlir::Value cotangent(unsigned result) = 0;
  /// The same, with zeros instead of null.
  virtual mlir::Value cotangentOrZero(unsigned result) = 0;
  /// Whether a parameter depends on operand `operand`.
  virtual bool wants(unsigned operand) const = 0;
  /// Adds to the cotangent of an operand; `value` must have the operand's type after `reduceTo`.
  virtual void add(unsigned operand, mlir::Value value) = 0;
  /// Undoes broadcasting: sums added leading dimensions and dimensions that are 1 in `type`.
  mlir::Value reduceTo(mlir::Value value, mlir::RankedTensorType type);
  /// A splat constant of type `type`.
  mlir::Value splat(mlir::RankedTensorType type, double value);
};

} // namespace deepshard::graph

#endif // DEEPSHARD_DIALECTS_GRAPH_VJPBUILDER_H
