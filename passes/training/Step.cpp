//===- Step.cpp - what the passes of the phase "training" ask of a module ---------------------===//

#include "passes/training/Step.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace deepshard {

func::FuncOp findForward(ModuleOp module) {
  auto function = module.lookupSymbol<func::FuncOp>(kForwardName);
  if (!function || function.isExternal() || !function.getBody().hasOneBlock()) {
    emitError(module.getLoc()) << "expected a function @" << kForwardName
                               << " with one block; import a model first";
    return nullptr;
  }
  return function;
}

FailureOr<int64_t> accumulationSteps(ModuleOp module) {
  Attribute attribute = module->getAttr(graph::kAccumulationAttr);
  if (!attribute)
    return 1;
  auto steps = dyn_cast<IntegerAttr>(attribute);
  if (!steps || !steps.getType().isSignlessInteger(64) || steps.getInt() < 1) {
    emitError(module.getLoc()) << "'" << graph::kAccumulationAttr << "' is " << attribute
                               << "; expected a positive i64";
    return failure();
  }
  return steps.getInt();
}

StringRef argumentString(func::FuncOp function, unsigned index, StringRef name) {
  auto attribute = function.getArgAttrOfType<StringAttr>(index, name);
  return attribute ? attribute.getValue() : StringRef();
}

StringRef resultString(func::FuncOp function, unsigned index, StringRef name) {
  auto attribute = function.getResultAttrOfType<StringAttr>(index, name);
  return attribute ? attribute.getValue() : StringRef();
}

RankedTensorType gradientType(func::FuncOp function, BlockArgument parameter) {
  auto type = cast<RankedTensorType>(parameter.getType());
  auto master = function.getArgAttrOfType<TypeAttr>(parameter.getArgNumber(), graph::kMasterAttr);
  return master ? type.clone(master.getValue()) : type;
}

bool hasGradients(func::FuncOp function) {
  return llvm::any_of(llvm::seq(function.getNumResults()), [&](unsigned index) {
    return bool(function.getResultAttr(index, graph::kGradientAttr));
  });
}

int64_t alignmentInElements(Type elementType) {
  return kMemberAlignment / llvm::divideCeil(elementType.getIntOrFloatBitWidth(), 8);
}

void PhaseListener::notifyOperationInserted(Operation *op, OpBuilder::InsertPoint) {
  op->setAttr(graph::kPhaseAttr, StringAttr::get(op->getContext(), phase));
}

} // namespace deepshard
