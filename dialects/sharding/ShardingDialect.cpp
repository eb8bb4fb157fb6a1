//===- ShardingDialect.cpp - the sharding dialect and its discardable attributes --------------===//

#include "dialects/sharding/Sharding.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;

#include "dialects/sharding/ShardingDialect.cpp.inc"

namespace deepshard::sharding {

void ShardingDialect::initialize() {
  registerAttributes();
  addOperations<
#define GET_OP_LIST
#include "dialects/sharding/ShardingOps.cpp.inc"
      >();
}

LayoutAttr layoutOf(Value value) {
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    auto function = dyn_cast_or_null<FunctionOpInterface>(argument.getOwner()->getParentOp());
    return function ? function.getArgAttrOfType<LayoutAttr>(argument.getArgNumber(), kLayoutAttr)
                    : nullptr;
  }
  auto result = cast<OpResult>(value);
  auto layouts = result.getOwner()->getAttrOfType<ArrayAttr>(kLayoutsAttr);
  return layouts ? cast<LayoutAttr>(layouts[result.getResultNumber()]) : nullptr;
}

void setLayouts(Operation *op, ArrayRef<LayoutAttr> layouts) {
  assert(layouts.size() == op->getNumResults() && "expected a layout per result");
  SmallVector<Attribute> attributes(layouts.begin(), layouts.end());
  op->setAttr(kLayoutsAttr, ArrayAttr::get(op->getContext(), attributes));
}

namespace {

using Emit = function_ref<InFlightDiagnostic()>;

LogicalResult checkLayout(Operation *op, Type type, Attribute value, Emit emit) {
  auto layout = dyn_cast<LayoutAttr>(value);
  if (!layout)
    return emit() << value << "; expected #sharding.layout<...>";
  return layout.verifyFor(emit, lookupMesh(op, layout.getMesh()), type);
}

LogicalResult checkLayouts(Operation *op, Attribute value) {
  auto layouts = dyn_cast<ArrayAttr>(value);
  if (!layouts || layouts.size() != op->getNumResults())
    return op->emitError() << kLayoutsAttr << " " << value << "; expected an array of "
                           << op->getNumResults() << " layouts, one per result";
  for (auto [index, layout] : llvm::enumerate(layouts)) {
    auto emit = [&, index = index] {
      return op->emitError() << kLayoutsAttr << " of result " << index << ": ";
    };
    if (failed(checkLayout(op, op->getResultTypes()[index], layout, emit)))
      return failure();
  }
  return success();
}

LogicalResult checkFactors(Operation *op, Attribute value) {
  auto emit = [&] { return op->emitError() << kFactorsAttr << ": "; };
  auto factors = dyn_cast<FactorsAttr>(value);
  if (!factors)
    return emit() << value << "; expected #sharding.factors<...>";
  MeshOp mesh = onlyMesh(op);
  if (!mesh)
    return emit() << "expects one sharding.mesh in the module";
  for (AxisListAttr axes : factors.getFactors())
    if (failed(mesh.getAxes().verifyAxes(emit, axes.getAxes())))
      return failure();
  return success();
}

LogicalResult checkFunctionLayout(Operation *op, StringRef what, unsigned index,
                                  ArrayRef<Type> types, NamedAttribute attribute) {
  if (attribute.getName() == kMembersAxesAttr || attribute.getName() == kKeptWholeAttr)
    return success();
  if (attribute.getName() != kLayoutAttr)
    return op->emitError() << "unknown attribute " << attribute.getName().getValue() << " on "
                           << what << " " << index << "; known there: " << kLayoutAttr << ", "
                           << kMembersAxesAttr << ", " << kKeptWholeAttr;
  auto emit = [&] {
    return op->emitError() << kLayoutAttr << " of " << what << " " << index << ": ";
  };
  return checkLayout(op, types[index], attribute.getValue(), emit);
}

} // namespace

LogicalResult ShardingDialect::verifyOperationAttribute(Operation *op, NamedAttribute attribute) {
  StringRef name = attribute.getName();
  if (name == kLayoutsAttr)
    return checkLayouts(op, attribute.getValue());
  if (name == kFactorsAttr)
    return checkFactors(op, attribute.getValue());
  if (name == kZeroAttr)
    return isa<ZeroAttr>(attribute.getValue()) ? success()
                                               : op->emitError()
                                                     << name << " " << attribute.getValue()
                                                     << "; expected #sharding.zero<...>";
  if (name == kAttentionAttr) {
    auto mode = dyn_cast<StringAttr>(attribute.getValue());
    return mode && llvm::is_contained({kAuto, kUlysses, kRing}, mode.getValue())
               ? success()
               : op->emitError() << name << " " << attribute.getValue()
                                 << "; expected \"auto\", \"ulysses\" or \"ring\"";
  }
  return op->emitError() << "unknown attribute " << name
                         << " on an op; known there: " << kLayoutsAttr << ", " << kFactorsAttr
                         << ", " << kZeroAttr << ", " << kAttentionAttr;
}

LogicalResult ShardingDialect::verifyRegionArgAttribute(Operation *op, unsigned, unsigned index,
                                                        NamedAttribute attribute) {
  auto function = dyn_cast<FunctionOpInterface>(op);
  if (!function)
    return op->emitOpError() << "has no arguments for " << attribute.getName().getValue();
  return checkFunctionLayout(op, "argument", index, function.getArgumentTypes(), attribute);
}

LogicalResult ShardingDialect::verifyRegionResultAttribute(Operation *op, unsigned, unsigned index,
                                                           NamedAttribute attribute) {
  auto function = dyn_cast<FunctionOpInterface>(op);
  if (!function)
    return op->emitOpError() << "has no results for " << attribute.getName().getValue();
  return checkFunctionLayout(op, "result", index, function.getResultTypes(), attribute);
}

} // namespace deepshard::sharding
