//===- AccumulateGradients.cpp - sums over the micro-batches of a step ------------------------===//

#include "passes/training/Passes.h"
#include "passes/training/Signature.h"
#include "passes/training/Step.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_ACCUMULATEGRADIENTS
#include "passes/training/Passes.h.inc"

namespace {

struct AccumulateGradientsPass : impl::AccumulateGradientsBase<AccumulateGradientsPass> {
  using AccumulateGradientsBase::AccumulateGradientsBase;

  void runOnOperation() override {
    func::FuncOp function = findForward(getOperation());
    FailureOr<int64_t> steps = accumulationSteps(getOperation());
    if (!function || failed(steps) || failed(check(function)) ||
        (*steps > 1 && failed(accumulate(function, *steps))))
      signalPassFailure();
  }

  LogicalResult check(func::FuncOp function) {
    if (!hasGradients(function))
      return emitError(function.getLoc(),
                       "@forward has no gradients to accumulate; run 'differentiate' first");
    for (unsigned index = 0; index < function.getNumResults(); ++index)
      if (function.getResultAttr(index, graph::kGradientAttr) &&
          function.getResultAttr(index, graph::kStateAttr))
        return emitError(function.getLoc(), "@forward accumulates its gradients already");
    return success();
  }

  LogicalResult accumulate(func::FuncOp function, int64_t steps) {
    Operation *terminator = function.getBody().front().getTerminator();
    PhaseListener listener(kBackward);
    OpBuilder builder(terminator, &listener);
    Signature signature(function);
    std::optional<unsigned> loss;
    for (unsigned index = 0, end = function.getNumResults(); index < end; ++index) {
      Value value = terminator->getOperand(index);
      if (auto name = function.getResultAttrOfType<StringAttr>(index, graph::kGradientAttr)) {
        auto state = builder.getStringAttr("gradient." + name.getValue());
        terminator->setOperand(index, addToState(signature, builder, value, state));
        signature.result(index).set(graph::kStateAttr, state);
      }
      if (resultString(function, index, graph::kMetricAttr) == "loss")
        loss = index;
    }
    if (loss) {
      accumulateLoss(signature, builder, *loss, terminator->getOperand(*loss), steps);
      signature.commit();
      return success();
    }
    return emitError(function.getLoc(), "@forward has no result marked '")
           << graph::kMetricAttr << "' = \"loss\"";
  }

  /// Moves the metric from the loss of one micro-batch to a new result: the sum of loss / steps.
  void accumulateLoss(Signature &signature, OpBuilder &builder, unsigned index, Value loss,
                      int64_t steps) {
    auto type = cast<RankedTensorType>(loss.getType());
    auto divisor = builder.getFloatAttr(type.getElementType(), double(steps));
    Value count =
        graph::ConstantOp::create(builder, loss.getLoc(), DenseElementsAttr::get(type, divisor));
    Value share = graph::DivOp::create(builder, loss.getLoc(), loss, count);
    auto name = builder.getStringAttr("loss");
    signature.addResult(addToState(signature, builder, share, name),
                        builder.getDictionaryAttr({builder.getNamedAttr(graph::kMetricAttr, name),
                                                   builder.getNamedAttr(graph::kStateAttr, name)}));
    signature.result(index).erase(graph::kMetricAttr);
  }

  /// A new argument marked as state `name`, plus `value`.
  Value addToState(Signature &signature, OpBuilder &builder, Value value, StringAttr name) {
    auto attributes = builder.getDictionaryAttr(builder.getNamedAttr(graph::kStateAttr, name));
    Value state = signature.addArgument(value.getType(), attributes, value.getLoc());
    return graph::AddOp::create(builder, value.getLoc(), state, value);
  }
};

} // namespace
} // namespace deepshard
