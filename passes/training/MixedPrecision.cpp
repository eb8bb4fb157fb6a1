//===- MixedPrecision.cpp - products in a narrow type, sums in f32 ----------------------------===//
//
// State: the type of a value that has been visited is the one it is kept in. Ops are visited in
// order; each gets its operands in the types its policy asks for, by conversions in front of it,
// and its results are kept in the type the policy says. O(ops + operands).
//
//   policy     operands              result is kept in           ops
//   product    narrow                narrow                      matmul, linear, convolution,
//   attention loss       as they are kept      f32                         cross entropy move the
//   widest of them    that                        reshape, slice, gather, embedding, ... reduce f32
//   f32                         sums, maxima normalise  f32                   the widest operand's;
//   f32   softmax, layer norm, exp, pow, ...
//                                    where parameters are f32
//   compute    f32                   the widest operand's        other elementwise ops
//
// (The lists of torch.autocast; where parameters are narrow, "normalise" rounds its result as the
// modules of a model in that type do.)
//
//===------------------------------------------------------------------------------------------===//

#include "passes/training/Passes.h"
#include "passes/training/Step.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_MIXEDPRECISION
#include "passes/training/Passes.h.inc"

namespace {

enum class Policy { Product, Loss, Move, Reduce, Normalise, Compute, Keep };

Policy policyOf(Operation *op) {
  using namespace graph;
  return llvm::TypeSwitch<Operation *, Policy>(op)
      .Case<MatmulOp, LinearOp, ConvolutionOp, AttentionOp>([](auto) { return Policy::Product; })
      .Case<CrossEntropyOp>([](auto) { return Policy::Loss; })
      .Case<ReshapeOp, TransposeOp, BroadcastOp, SliceOp, PadOp, ConcatOp, SelectOp, GatherOp,
            EmbeddingOp>([](auto) { return Policy::Move; })
      .Case<ReduceSumOp, ReduceMaxOp, ReduceMinOp, ReduceLogSumExpOp, ScatterAddOp>(
          [](auto) { return Policy::Reduce; })
      .Case<SoftmaxOp, LayerNormOp, ExpOp, LogOp, PowOp, RsqrtOp, ReciprocalOp, SinOp, CosOp, ErfOp,
            NdtrOp>([](auto) { return Policy::Normalise; })
      .Case<ConvertOp, ConstantOp>([](auto) { return Policy::Keep; })
      .Default([](Operation *) { return Policy::Compute; });
}

Type elementType(Value value) {
  auto tensor = dyn_cast<RankedTensorType>(value.getType());
  return tensor ? tensor.getElementType() : Type();
}

struct MixedPrecisionPass : impl::MixedPrecisionBase<MixedPrecisionPass> {
  using MixedPrecisionBase::MixedPrecisionBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto options = module->getAttrOfType<graph::MixedPrecisionAttr>(graph::kMixedPrecisionAttr);
    if (!options)
      return;
    wide = Float32Type::get(&getContext());
    narrow = options.getCompute();
    roundsParameters = options.getParameters() == narrow;
    if (graph::accumulationType(narrow) != wide ||
        (!roundsParameters && options.getParameters() != wide)) {
      emitError(module.getLoc()) << "'" << graph::kMixedPrecisionAttr << "' is " << options
                                 << "; expected compute in bf16 or f16, and parameters in that or "
                                    "in f32";
      return signalPassFailure();
    }
    func::FuncOp function = findForward(module);
    if (!function)
      return signalPassFailure();
    if (hasGradients(function)) {
      emitError(function.getLoc(), "@forward has gradients already");
      return signalPassFailure();
    }
    if (roundsParameters)
      narrowParameters(function);
    for (Operation &op :
         llvm::make_early_inc_range(function.getBody().front().without_terminator()))
      if (isa<graph::GraphDialect>(op.getDialect()))
        visit(&op);
    settleResults(function);
  }

private:
  bool isWide(Value value) const { return elementType(value) == wide; }
  bool isNarrow(Value value) const { return elementType(value) == narrow; }
  /// One of the two types that this pass is about.
  bool concerns(Value value) const { return isWide(value) || isNarrow(value); }

  void narrowParameters(func::FuncOp function) {
    for (BlockArgument argument : function.getArguments()) {
      unsigned index = argument.getArgNumber();
      if (!function.getArgAttr(index, graph::kParameterAttr) || !isWide(argument))
        continue;
      argument.setType(cast<RankedTensorType>(argument.getType()).clone(narrow));
      function.setArgAttr(index, graph::kMasterAttr, TypeAttr::get(wide));
    }
  }

  void visit(Operation *op) {
    switch (policyOf(op)) {
    case Policy::Product:
      return product(op);
    case Policy::Loss:
    case Policy::Keep:
      return;
    case Policy::Move:
      return move(op);
    case Policy::Reduce:
      return compute(op, wide);
    case Policy::Normalise:
      return compute(op, roundsParameters ? widest(op) : wide);
    case Policy::Compute:
      return compute(op, widest(op));
    }
  }

  /// The widest type among the operands that the pass is about; constants do not count unless there
  /// are no others.
  Type widest(Operation *op) const {
    bool anyNarrow = false;
    for (Value operand : op->getOperands()) {
      if (operand.getDefiningOp<graph::ConstantOp>())
        continue;
      if (isWide(operand))
        return wide;
      anyNarrow |= isNarrow(operand);
    }
    return anyNarrow ? narrow : wide;
  }

  /// Converts operand `use` in front of its op.
  void convert(OpOperand &use, Type type) {
    Value value = use.get();
    if (!concerns(value) || elementType(value) == type)
      return;
    OpBuilder builder(use.getOwner());
    auto tensor = cast<RankedTensorType>(value.getType()).clone(type);
    auto constant = value.getDefiningOp<graph::ConstantOp>();
    auto dense = constant ? dyn_cast<DenseFPElementsAttr>(constant.getValue()) : nullptr;
    if (dense && dense.isSplat()) {
      APFloat element = dense.getSplatValue<APFloat>();
      bool losesInfo;
      element.convert(cast<FloatType>(type).getFloatSemantics(), APFloat::rmNearestTiesToEven,
                      &losesInfo);
      use.set(graph::ConstantOp::create(builder, constant.getLoc(),
                                        DenseElementsAttr::get(tensor, element)));
      return;
    }
    use.set(graph::ConvertOp::create(builder, use.getOwner()->getLoc(), tensor, value));
  }

  void convertAll(Operation *op, Type type) {
    for (OpOperand &use : op->getOpOperands())
      convert(use, type);
  }

  void setType(Value value, Type type) const {
    if (concerns(value))
      value.setType(cast<RankedTensorType>(value.getType()).clone(type));
  }

  void product(Operation *op) {
    auto attention = dyn_cast<graph::AttentionOp>(op);
    for (OpOperand &use : op->getOpOperands())
      // Scores are sums, and a mask is added to them.
      convert(use, attention && use.get() == attention.getMask() ? wide : narrow);
    setType(op->getResult(0), narrow);
  }

  void move(Operation *op) {
    Type type = widest(op);
    convertAll(op, type);
    for (Value result : op->getResults())
      setType(result, type);
  }

  /// Computes in f32 and keeps the results in `type`.
  void compute(Operation *op, Type type) {
    convertAll(op, wide);
    if (type == wide)
      return;
    OpBuilder builder(op->getContext());
    builder.setInsertionPointAfter(op);
    // Statistics and the like: what later ops add up stays as it is.
    Value result = op->getResult(0);
    if (!isWide(result))
      return;
    auto rounded = graph::ConvertOp::create(
        builder, op->getLoc(), cast<RankedTensorType>(result.getType()).clone(type), result);
    result.replaceAllUsesExcept(rounded, rounded);
  }

  /// Scalars (losses) and states keep their types; other outputs have the type they are kept in.
  void settleResults(func::FuncOp function) {
    Operation *terminator = function.getBody().front().getTerminator();
    for (OpOperand &use : terminator->getOpOperands()) {
      auto was = dyn_cast<RankedTensorType>(function.getResultTypes()[use.getOperandNumber()]);
      if (!was || was == use.get().getType())
        continue;
      if (was.getRank() == 0 || function.getResultAttr(use.getOperandNumber(), graph::kStateAttr))
        convert(use, was.getElementType());
    }
    function.setType(FunctionType::get(&getContext(), function.getBody().front().getArgumentTypes(),
                                       terminator->getOperandTypes()));
  }

  FloatType wide;
  Type narrow;
  bool roundsParameters = false;
};

} // namespace
} // namespace deepshard
