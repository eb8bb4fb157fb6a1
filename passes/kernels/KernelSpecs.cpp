//===- KernelSpecs.cpp - asks the runtime's providers about ops -------------------------------===//

#include "passes/kernels/KernelSpecs.h"

#include "dialects/graph/Graph.h"
#include "dialects/graph/HostTensor.h"
#include "dialects/graph/KernelAttrs.h"
#include "passes/kernels/gpu/GpuKernel.h"
#include "runtime/kernels/Providers.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/TypeSwitch.h"

#include <numeric>

using namespace mlir;

namespace deepshard {

/// Ops whose kernels may accumulate.
static bool mayAccumulate(Operation *op) {
  return isa_and_nonnull<graph::MatmulOp, graph::LinearOp, graph::EmbeddingGradOp>(op);
}

Operation *accumulatedBy(Operation *op) {
  if (!isa<graph::AddOp>(op) || !op->hasAttr(graph::kProviderAttr))
    return nullptr;
  for (Value operand : op->getOperands())
    if (Operation *producer = operand.getDefiningOp();
        mayAccumulate(producer) && !producer->hasAttr(graph::kProviderAttr))
      return producer;
  return nullptr;
}

bool isAccumulated(Operation *op) {
  return mayAccumulate(op) && op->hasOneUse() && accumulatedBy(*op->user_begin()) == op;
}

/// The operand of the sum `op` that `product` is added to.
static Value accumulatorOf(Operation *op, Operation *product) {
  return op->getOperand(op->getOperand(0).getDefiningOp() == product ? 1 : 0);
}

SmallVector<Value> kernelOperands(Operation *op) {
  Operation *product = accumulatedBy(op);
  if (!product)
    return llvm::to_vector(op->getOperands());
  SmallVector<Value> operands(product->getOperands());
  operands.push_back(accumulatorOf(op, product));
  return operands;
}

StringRef kernelName(Operation *op) {
  if (Operation *product = accumulatedBy(op))
    return kernelName(product);
  if (auto evaluable = dyn_cast<graph::EvaluableOpInterface>(op))
    return evaluable.getKernelName();
  return op->getName().stripDialect();
}

DictionaryAttr kernelAttributes(Operation *op) {
  if (Operation *product = accumulatedBy(op)) {
    NamedAttrList attributes(kernelAttributes(product));
    attributes.set("accumulate", Builder(op->getContext()).getBoolAttr(true));
    return attributes.getDictionary(op->getContext());
  }
  if (op->hasAttr(graph::kAtomicAttr)) {
    NamedAttrList attributes(cast<graph::EvaluableOpInterface>(op).getKernelAttributes());
    attributes.set("atomic", Builder(op->getContext()).getBoolAttr(true));
    return attributes.getDictionary(op->getContext());
  }
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

runtime::KernelSpec contiguousSpec(Operation *op, int threads) {
  runtime::KernelSpec spec;
  spec.name = kernelName(op).str();
  spec.attributes = graph::toKernelAttributes(kernelAttributes(op));
  spec.threads = threads;
  auto evaluable = dyn_cast<graph::EvaluableOpInterface>(op);
  bool broadcasts = evaluable && evaluable.isElementwise() && !accumulatedBy(op);
  for (Value operand : kernelOperands(op)) {
    auto type = cast<RankedTensorType>(operand.getType());
    spec.inputs.push_back(tensorDesc(
        broadcasts ? cast<RankedTensorType>(op->getResult(0).getType()).clone(type.getElementType())
                   : type));
  }
  for (Type type : op->getResultTypes())
    spec.outputs.push_back(tensorDesc(cast<RankedTensorType>(type)));
  return spec;
}

const runtime::KernelProvider *plannedProvider(StringRef name) {
  for (const runtime::KernelProvider *provider :
       {&runtime::plannedCudnnProvider(), &runtime::plannedCublasltProvider(),
        &runtime::plannedCudaProvider()})
    if (name == StringRef(provider->name()))
      return provider;
  return runtime::findProvider(name);
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

SmallVector<int64_t> alignmentsOf(plan::LaunchOp launch) {
  auto alignmentOf = [](Value operand) {
    auto view = operand.getDefiningOp<plan::ViewOp>();
    std::optional<ArrayAttr> strides = view.getAxisStrides();
    return std::gcd(GpuKernel::kAccessBytes,
                    plan::alignmentOf(view.getBuffer().getDefiningOp<plan::BufferOp>(),
                                      static_cast<int64_t>(view.getOffset()),
                                      strides ? strides->getValue() : ArrayRef<Attribute>()));
  };
  SmallVector<int64_t> alignments = llvm::map_to_vector(launch.getInputs(), alignmentOf);
  llvm::append_range(alignments, llvm::map_range(launch.getOutputs(), alignmentOf));
  return alignments;
}

} // namespace deepshard
