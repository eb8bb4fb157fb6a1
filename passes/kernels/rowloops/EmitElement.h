//===- EmitElement.h - one graph op on vectors or scalars -------------------------------------===//

#ifndef DEEPSHARD_PASSES_KERNELS_ROWLOOPS_EMITELEMENT_H
#define DEEPSHARD_PASSES_KERNELS_ROWLOOPS_EMITELEMENT_H

#include "mlir/IR/Builders.h"

namespace deepshard {

/// Whether `emitElement` knows how to compute the elementwise op.
bool canEmitElement(mlir::Operation *op);

/// Emits what the elementwise graph op computes for one element, or lane by lane for vectors of
/// equal length, with the dialects arith and math. Operands have the element types of the op's
/// operands, the result that of its result; arithmetic on bf16 and f16 is done in f32 and rounded
/// once, as the reference kernels do it.
mlir::Value emitElement(mlir::OpBuilder &builder, mlir::Operation *op, mlir::ValueRange operands);

/// The standard normal distribution function of f32 lanes.
mlir::Value emitNdtr(mlir::OpBuilder &builder, mlir::Location location, mlir::Value x);

/// Whether the op is a function that takes tens of instructions and many registers.
bool isTranscendental(mlir::Operation *op);

/// `element` as the element type of `like`: a vector of its length, or a scalar.
mlir::Type withElementType(mlir::Type like, mlir::Type element);

/// Whether an element is a float that is computed with in f32.
bool isNarrowFloat(mlir::Type element);

/// A number in every lane.
mlir::Value emitSplat(mlir::OpBuilder &builder, mlir::Location location, mlir::Type type,
                      mlir::TypedAttr value);

/// The reduction of two values by the combiner of a graph reduction: sum, maximum or minimum.
mlir::Value emitCombine(mlir::OpBuilder &builder, mlir::Operation *reduction, mlir::Value a,
                        mlir::Value b);

/// What the combiner leaves as it is, in f32.
float neutralElement(mlir::Operation *reduction);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_KERNELS_ROWLOOPS_EMITELEMENT_H
