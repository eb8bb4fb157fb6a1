//===- ChooseKernels.cpp - a provider for every op --------------------------------------------===//
//
// A work list over the ops in program order. An op is settled by the first provider that runs it; a
// composite that none runs is replaced by its decomposition, whose ops join the list. A
// decomposition consists of simpler ops, so this ends. O(ops of the result).
//
//===------------------------------------------------------------------------------------------===//

#include "passes/kernels/Passes.h"

#include "dialects/graph/Graph.h"
#include "dialects/graph/HostTensor.h"
#include "dialects/graph/KernelAttrs.h"
#include "passes/kernels/KernelNames.h"
#include "passes/kernels/KernelSpecs.h"
#include "passes/kernels/ProviderCache.h"
#include "passes/kernels/rowloops/RowLoops.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_CHOOSEKERNELSPASS
#include "passes/kernels/Passes.h.inc"

namespace {

/// Listens to a builder: every op it makes carries the phase, the chunk and the name of the
/// composite it stands for, and is to be settled.
struct DecompositionListener : OpBuilder::Listener {
  explicit DecompositionListener(Operation *composite)
      : phase(composite->getAttr(graph::kPhaseAttr)), chunk(composite->getAttr(graph::kChunkAttr)),
        location(locationWithin(composite)) {}

  void notifyOperationInserted(Operation *op, OpBuilder::InsertPoint) override {
    if (phase)
      op->setAttr(graph::kPhaseAttr, phase);
    if (chunk)
      op->setAttr(graph::kChunkAttr, chunk);
    op->setLoc(location);
    inserted.push_back(op);
  }

  Attribute phase, chunk;
  Location location;
  SmallVector<Operation *> inserted;
};

/// A primitive that is no element-wise op or plain reduction itself but made of such.
bool canGenerateDecomposed(Operation *op) {
  return isa<graph::ReduceLogSumExpOp>(op) &&
         cast<RankedTensorType>(op->getResult(0).getType()).getElementType().isF32() &&
         cast<RankedTensorType>(op->getResult(0).getType()).getNumElements() > 1;
}

struct ChooseKernels : impl::ChooseKernelsPassBase<ChooseKernels> {
  using ChooseKernelsPassBase::ChooseKernelsPassBase;

  void runOnOperation() override {
    answers = {}; // they depend on the CPU level, which may be limited between runs
    order.assign(providers.begin(), providers.end());
    std::string primitives = primitivesProvider(isGpu).str();
    if (order.empty() && isGpu)
      order = {kCudnnProvider.str(), kCublasltProvider.str(), kGeneratedProvider.str(), primitives};
    else if (order.empty())
      order = {"onednn", "native", kGeneratedProvider.str(), primitives};
    SmallVector<Operation *> work;
    getOperation().walk([&](func::FuncOp function) {
      for (Operation &op : function.getOps())
        if (isa<graph::GraphDialect>(op.getDialect()))
          work.push_back(&op);
    });
    bool failedAny = false;
    std::reverse(work.begin(), work.end());
    while (!work.empty())
      failedAny |= failed(settle(work.pop_back_val(), work));
    if (failedAny)
      signalPassFailure();
  }

  LogicalResult settle(Operation *op, SmallVectorImpl<Operation *> &work) {
    if (isGpu && useAtomics && isa<graph::EmbeddingGradOp>(op))
      op->setAttr(graph::kAtomicAttr, UnitAttr::get(&getContext()));
    if (isa<graph::ConstantOp, graph::ReshapeOp, graph::TransposeOp, graph::BroadcastOp,
            graph::SliceOp, graph::ConcatOp>(op))
      return success();
    std::optional<runtime::KernelSpec> spec;
    for (const std::string &name : order) {
      bool runs = false;
      if (name == kGeneratedProvider) {
        runs = RowLoops::canBe(op);
        if (!runs && canGenerateDecomposed(op))
          break;
      } else if (const runtime::KernelProvider *provider = plannedProvider(name)) {
        if (!spec)
          spec = contiguousSpec(op, threads);
        runs = !answers.ask(*provider, *spec).whyNot;
      }
      if (runs) {
        op->setAttr(graph::kProviderAttr, StringAttr::get(&getContext(), name));
        return success();
      }
    }
    auto composite = dyn_cast<graph::DecomposableOpInterface>(op);
    if (!composite)
      return op->emitOpError("has no kernel for these types in any provider");
    return decompose(composite, work);
  }

  LogicalResult decompose(graph::DecomposableOpInterface composite,
                          SmallVectorImpl<Operation *> &work) {
    DecompositionListener listener(composite);
    OpBuilder builder(composite, &listener);
    FailureOr<SmallVector<Value>> values = composite.decompose(builder);
    if (failed(values))
      return composite->emitOpError(
          "has no kernel in any provider and no decomposition for these operands");
    composite->replaceAllUsesWith(*values);
    composite->erase();
    work.append(listener.inserted.rbegin(), listener.inserted.rend());
    return success();
  }

  std::vector<std::string> order; // of providers
  ProviderCache answers;
};

} // namespace
} // namespace deepshard
