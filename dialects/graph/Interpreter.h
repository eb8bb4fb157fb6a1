//===- Interpreter.h - runs graph programs on the reference kernels ---------------------------===//
//
// The oracle of the tests and the arithmetic of constant folding. Primitives run the kernel of
// provider "reference" that they name, composites run their decomposition.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_DIALECTS_GRAPH_INTERPRETER_H
#define DEEPSHARD_DIALECTS_GRAPH_INTERPRETER_H

#include "dialects/graph/HostTensor.h"

#include "mlir/Support/LLVM.h"

namespace mlir {
class Operation;
namespace func {
class FuncOp;
} // namespace func
} // namespace mlir

namespace deepshard::graph {

/// The results of one op of the graph dialect for the values `operands` of its operands, whose
/// types must be those of the op. Reports at the op's location and fails if there is no kernel or
/// decomposition for it.
mlir::FailureOr<llvm::SmallVector<HostTensor>>
evaluateOp(mlir::Operation *op, llvm::ArrayRef<const HostTensor *> operands);

/// The results of a function of one block of graph ops. Values are freed after their last use.
mlir::FailureOr<llvm::SmallVector<HostTensor>>
evaluateFunction(mlir::func::FuncOp function, llvm::ArrayRef<HostTensor> arguments);

} // namespace deepshard::graph

#endif // DEEPSHARD_DIALECTS_GRAPH_INTERPRETER_H
