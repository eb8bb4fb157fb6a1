//===- Sharding.h - the sharding dialect ------------------------------------------------------===//
//
// Meshes, layouts of tensors, changes of layout and the collectives they become. ShardingDialect.td
// documents the attributes, ShardingOps.td the ops.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_DIALECTS_SHARDING_SHARDING_H
#define DEEPSHARD_DIALECTS_SHARDING_SHARDING_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include <optional>
#include <string>

namespace mlir {
class ModuleOp;
} // namespace mlir

namespace deepshard::sharding {

/// Names of the discardable attributes; ShardingDialect.td says what each means.
inline constexpr llvm::StringLiteral kLayoutAttr = "sharding.layout";
inline constexpr llvm::StringLiteral kLayoutsAttr = "sharding.layouts";
inline constexpr llvm::StringLiteral kFactorsAttr = "sharding.factors";
inline constexpr llvm::StringLiteral kZeroAttr = "sharding.zero";
inline constexpr llvm::StringLiteral kMembersAxesAttr = "sharding.members_axes";
inline constexpr llvm::StringLiteral kKeptWholeAttr = "sharding.kept_whole";
inline constexpr llvm::StringLiteral kAttentionAttr = "sharding.attention";

/// Values of `sharding.attention`.
inline constexpr llvm::StringLiteral kAuto = "auto";
inline constexpr llvm::StringLiteral kUlysses = "ulysses";
inline constexpr llvm::StringLiteral kRing = "ring";

} // namespace deepshard::sharding

#include "dialects/sharding/ShardingDialect.h.inc"
#include "dialects/sharding/ShardingEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/sharding/ShardingAttrs.h.inc"

#define GET_OP_CLASSES
#include "dialects/sharding/ShardingOps.h.inc"

namespace deepshard::sharding {

/// As it is written in a layout: `"data":(1)2`.
std::string textOf(AxisRefAttr axis);
/// As it is written in a layout: `{"data", "tensor"}`.
std::string textOf(llvm::ArrayRef<AxisRefAttr> axes);

/// Whether two axes can stand in one layout: they are different axes, or sub-axes of which the
/// finer one begins at a multiple of where the coarser one ends.
bool canCoexist(AxisRefAttr a, AxisRefAttr b);

/// The mesh that `symbol` names, seen from `from`; null if there is none.
MeshAttr lookupMesh(mlir::Operation *from, mlir::FlatSymbolRefAttr symbol);

/// The only mesh of the module around `from`; null if it has none or several.
MeshOp onlyMesh(mlir::Operation *from);

/// What `sharding.layout` or `sharding.layouts` says of a block argument of a function or of a
/// result; null if nothing does.
LayoutAttr layoutOf(mlir::Value value);

/// Sets `sharding.layouts` of an op: one layout per result.
void setLayouts(mlir::Operation *op, llvm::ArrayRef<LayoutAttr> layouts);

} // namespace deepshard::sharding

#endif // DEEPSHARD_DIALECTS_SHARDING_SHARDING_H
