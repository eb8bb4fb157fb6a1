//===- SetPrecision.cpp - one float type for the whole module ---------------------------------===//

#include "passes/training/Passes.h"
#include "passes/training/Step.h"

#include "mlir/IR/AsmState.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_SETPRECISION
#include "passes/training/Passes.h.inc"

namespace {

/// `value` rounded to the format of `type`.
APFloat rounded(APFloat value, FloatType type) {
  bool losesInfo;
  value.convert(type.getFloatSemantics(), APFloat::rmNearestTiesToEven, &losesInfo);
  return value;
}

/// The elements of a blob of `from`, as little-endian bytes of `to`.
SmallVector<char> convertBytes(ArrayRef<char> bytes, FloatType from, FloatType to) {
  unsigned fromBytes = from.getWidth() / 8, toBytes = to.getWidth() / 8;
  SmallVector<char> result(bytes.size() / fromBytes * toBytes);
  char *out = result.data();
  for (const char *in = bytes.begin(); in != bytes.end(); in += fromBytes, out += toBytes) {
    uint64_t bits = 0;
    std::memcpy(&bits, in, fromBytes);
    APFloat value(from.getFloatSemantics(), APInt(from.getWidth(), bits));
    bits = rounded(value, to).bitcastToAPInt().getZExtValue();
    std::memcpy(out, &bits, toBytes);
  }
  return result;
}

struct SetPrecisionPass : impl::SetPrecisionBase<SetPrecisionPass> {
  using SetPrecisionBase::SetPrecisionBase;

  void runOnOperation() override {
    Builder builder(&getContext());
    if (type != "f64" && type != "f32") {
      emitError(getOperation().getLoc())
          << "precision '" << type << "' is not supported; expected f64 or f32";
      return signalPassFailure();
    }
    precision = type == "f64" ? FloatType(builder.getF64Type()) : FloatType(builder.getF32Type());
    for (func::FuncOp function : getOperation().getOps<func::FuncOp>())
      if (failed(setTypes(function)))
        signalPassFailure();
  }

  Type converted(Type type) const {
    auto tensor = dyn_cast<RankedTensorType>(type);
    return tensor && isa<FloatType>(tensor.getElementType()) ? tensor.clone(precision) : type;
  }

  /// A value of the runtime (the learning rate) has the type that the runtime writes.
  bool isRunState(Value value, func::FuncOp function) const {
    auto argument = dyn_cast<BlockArgument>(value);
    return argument && function.getArgAttr(argument.getArgNumber(), graph::kRunStateAttr);
  }

  LogicalResult setTypes(func::FuncOp function) {
    if (function.isExternal() || hasGradients(function))
      return emitError(function.getLoc())
             << "@" << function.getSymName()
             << ": expected a function with a body and without gradients";
    for (BlockArgument argument : function.getArguments())
      if (!isRunState(argument, function))
        argument.setType(converted(argument.getType()));
    WalkResult result = function.walk([&](Operation *op) {
      if (op == function)
        return WalkResult::advance();
      if (auto constant = dyn_cast<graph::ConstantOp>(op))
        if (failed(setValue(constant)))
          return WalkResult::interrupt();
      for (Value value : op->getResults())
        value.setType(converted(value.getType()));
      return WalkResult::advance();
    });
    if (result.wasInterrupted())
      return failure();
    auto results =
        llvm::map_to_vector(function.getResultTypes(), [&](Type type) { return converted(type); });
    function.setType(
        FunctionType::get(&getContext(), function.getBody().front().getArgumentTypes(), results));
    eraseIdentities(function);
    return success();
  }

  LogicalResult setValue(graph::ConstantOp constant) {
    ElementsAttr value = constant.getValue();
    auto from = dyn_cast<FloatType>(value.getElementType());
    if (!from || from == precision)
      return success();
    auto type = cast<ShapedType>(converted(value.getType()));
    if (auto dense = dyn_cast<DenseFPElementsAttr>(value)) {
      constant.setValueAttr(dense.mapValues(precision, [&](const APFloat &element) {
        return rounded(element, precision).bitcastToAPInt();
      }));
      return success();
    }
    auto resource = dyn_cast<DenseResourceElementsAttr>(value);
    AsmResourceBlob *blob = resource ? resource.getRawHandle().getBlob() : nullptr;
    if (!blob)
      return constant.emitOpError("has a value whose data are not present");
    SmallVector<char> bytes = convertBytes(blob->getData(), from, precision);
    constant.setValueAttr(
        DenseResourceElementsAttr::get(type, resource.getRawHandle().getKey(),
                                       HeapAsmResourceBlob::allocateAndCopyWithAlign(
                                           bytes, /*align=*/64, /*dataIsMutable=*/false)));
    return success();
  }

  /// Conversions between floats have become identities.
  void eraseIdentities(func::FuncOp function) {
    function.walk([](graph::ConvertOp convert) {
      if (convert.getX().getType() != convert.getY().getType())
        return;
      convert.getY().replaceAllUsesWith(convert.getX());
      convert.erase();
    });
  }

  FloatType precision;
};

} // namespace
} // namespace deepshard
