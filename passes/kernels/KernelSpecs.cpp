//===- KernelSpecs.cpp - asks the runtime's providers about ops -------------------------------===//

#include "passes/kernels/KernelSpecs.h"

#include "dialects/graph/Graph.h"
#include "dialects/graph/HostTensor.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace deepshard {

StringRef kernelName(Operation *op) {
  if (auto evaluable = dyn_cast<graph::EvaluableOpInterface>(op))
    return evaluable.getKernelName();
  return op->getName().stripDialect();
}

DictionaryAttr kernelAttributes(Operation *op) {
  if (auto evaluable = dyn_cast<graph::EvaluableOpInterface>(op))
    return evaluable.getKernelAttributes();
  NamedAttrList attributes(graph::inherentAttributes(op));
  Builder builder(op->getContext());
  llvm::TypeSwitch<Operation *>(op).Case<graph::AttentionOp, graph::AttentionGradOp>(
      [&](auto attention) {
        attributes.set("has_mask", builder.getBoolAttr(static_cast<bool>(attention.getMask())));
        attributes.set("has_counter",
                       builder.getBoolAttr(static_cast<bool>(attention.getCounter())));
        if (attention.getDiagonal())
          attributes.set("has_diagonal", builder.getBoolAttr(true));
      });
  return attributes.getDictionary(op->getContext());
}

runtime::TensorDesc tensorDesc(RankedTensorType type) {
  return runtime::TensorDesc::contiguous(graph::toDType(type.getElementType()),
                                         {type.getShape().begin(), type.getShape().end()});
}

runtime::TensorDesc tensorDesc(plan::ViewType type) {
  runtime::TensorDesc desc;
  desc.dtype = graph::toDType(type.getElementType());
  desc.shape.assign(type.getShape().begin(), type.getShape().end());
  desc.strides.assign(type.getStrides().begin(), type.getStrides().end());
  return desc;
}

} // namespace deepshard
