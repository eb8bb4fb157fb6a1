//===- AccumulateGradients.cpp - sums over the micro-batches of a step ------------------------===//

#include "passes/training/Passes.h"
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
    for (unsigned index = 0, end = function.getNumResults(); index < end; ++index) {
      Value value = terminator->getOperand(index);
      if (auto name = function.getResultAttrOfType<StringAttr>(index, graph::kGradientAttr)) {
        auto state = builder.getStringAttr("gradient." + name.getValue());
        FailureOr<Value> sum = addToState(function, builder, value, state);
        if (failed(sum))
          return failure();
        function.setResultAttr(index, graph::kStateAttr, state);
        terminator->setOperand(index, *sum);
      }
    }
    for (unsigned index = 0, end = function.getNumResults(); index < end; ++index)
      if (resultString(function, index, graph::kMetricAttr) == "loss")
        return accumulateLoss(function, builder, index, steps);
    return emitError(function.getLoc(), "@forward has no result marked '")
           << graph::kMetricAttr << "' = \"loss\"";
  }

  /// Moves the metric from the loss of one micro-batch to a new result: the sum of loss / steps.
  LogicalResult accumulateLoss(func::FuncOp function, OpBuilder &builder, unsigned index,
                               int64_t steps) {
    Operation *terminator = function.getBody().front().getTerminator();
    Value loss = terminator->getOperand(index);
    auto type = cast<RankedTensorType>(loss.getType());
    auto divisor = builder.getFloatAttr(type.getElementType(), double(steps));
    Value count =
        graph::ConstantOp::create(builder, loss.getLoc(), DenseElementsAttr::get(type, divisor));
    Value share = graph::DivOp::create(builder, loss.getLoc(), loss, count);
    auto name = builder.getStringAttr("loss");
    FailureOr<Value> sum = addToState(function, builder, share, name);
    auto attributes = builder.getDictionaryAttr({builder.getNamedAttr(graph::kMetricAttr, name),
                                                 builder.getNamedAttr(graph::kStateAttr, name)});
    if (failed(sum) || failed(function.insertResult(function.getNumResults(), type, attributes)))
      return failure();
    function.removeResultAttr(index, builder.getStringAttr(graph::kMetricAttr));
    terminator->insertOperands(terminator->getNumOperands(), *sum);
    return success();
  }

  /// A new argument marked as state `name`, plus `value`.
  FailureOr<Value> addToState(func::FuncOp function, OpBuilder &builder, Value value,
                              StringAttr name) {
    auto attributes = builder.getDictionaryAttr(builder.getNamedAttr(graph::kStateAttr, name));
    unsigned index = function.getNumArguments();
    if (failed(function.insertArgument(index, value.getType(), attributes, value.getLoc())))
      return failure();
    return graph::AddOp::create(builder, value.getLoc(), function.getArgument(index), value)
        .getResult();
  }
};

} // namespace
} // namespace deepshard
