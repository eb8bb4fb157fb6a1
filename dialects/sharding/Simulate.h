//===- Simulate.h - runs a local program on all ranks of a mesh -------------------------------===//
//
// The oracle of everything that is split: graph ops run on the interpreter, rank by rank, and the
// ops of the sharding dialect exchange what the ranks have. All ranks do op i before any does op
// i + 1. Sums have the order of the collectives (halves of the group first).
//
// A value of a local program is a `Parts`: one tensor per rank.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_DIALECTS_SHARDING_SIMULATE_H
#define DEEPSHARD_DIALECTS_SHARDING_SIMULATE_H

#include "dialects/graph/HostTensor.h"
#include "dialects/sharding/Sharding.h"

namespace mlir::func {
class FuncOp;
} // namespace mlir::func

namespace deepshard::sharding {

/// What each rank holds, by rank.
using Parts = std::vector<graph::HostTensor>;

/// The results of a function of one block of graph ops and sharding ops on local types. Reports
/// and fails for ops that have no meaning on local values.
mlir::FailureOr<std::vector<Parts>> evaluateOnRanks(mlir::func::FuncOp function, MeshAttr mesh,
                                                    llvm::ArrayRef<Parts> arguments);

/// The results of one op on local types.
mlir::FailureOr<std::vector<Parts>> evaluateOnRanks(mlir::Operation *op, MeshAttr mesh,
                                                    llvm::ArrayRef<const Parts *> operands);

/// What a rank holds of `tensor`, which divides. Of a value that is partial, each of the parts that
/// are reduced is: for sums the tensor on the first rank and zeros on the others, else the tensor.
graph::HostTensor split(const graph::HostTensor &tensor, LayoutAttr layout, MeshAttr mesh,
                        int64_t rank);

/// `split` for every rank.
Parts split(const graph::HostTensor &tensor, LayoutAttr layout, MeshAttr mesh);

/// The tensor of which the ranks hold `parts`; partial parts are reduced in the order of an
/// all_reduce. Fails, and names the ranks, if parts have unlike shapes or if ranks that should hold
/// the same differ in a bit.
mlir::FailureOr<graph::HostTensor> join(llvm::function_ref<mlir::InFlightDiagnostic()> emitError,
                                        const Parts &parts, LayoutAttr layout, MeshAttr mesh);

} // namespace deepshard::sharding

#endif // DEEPSHARD_DIALECTS_SHARDING_SIMULATE_H
