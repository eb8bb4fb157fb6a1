//===- Plan.h - the plan dialect --------------------------------------------------------------===//
//
// The program of a rank: buffers, views, tasks, segments, schedule. PlanOps.td documents all of it.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_DIALECTS_PLAN_PLAN_H
#define DEEPSHARD_DIALECTS_PLAN_PLAN_H

#include "dialects/sharding/Sharding.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace deepshard::plan {

/// Bytes of one element; i1 takes one byte.
int64_t elementBytes(mlir::Type elementType);

class BufferOp;
/// What the address of a view's first element is a multiple of, on every rank: the view lies at
/// byte `offset` of `buffer`, and moves by `axisStrides` (AxisStrideAttr).
int64_t alignmentOf(BufferOp buffer, int64_t offset, llvm::ArrayRef<mlir::Attribute> axisStrides);

/// The stream of kernels; its tasks run in the order of their segment.
inline constexpr int64_t kComputeStream = 0;

} // namespace deepshard::plan

#include "dialects/plan/PlanDialect.h.inc"
#include "dialects/plan/PlanEnums.h.inc"
#include "dialects/plan/PlanInterfaces.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/plan/PlanAttrs.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/plan/PlanTypes.h.inc"

#define GET_OP_CLASSES
#include "dialects/plan/PlanOps.h.inc"

#endif // DEEPSHARD_DIALECTS_PLAN_PLAN_H
