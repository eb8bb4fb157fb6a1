//===- Differentiate.cpp - reverse-mode gradients of @forward ---------------------------------===//
//
// State: for each value the sum of the cotangents that have arrived. Invariant: when an op is
// visited, all users of its results have been visited, so its cotangents are complete. Steps:
// choose the loss, find the active values, check that all active ops have a rule, visit them from
// last to first, return the cotangents of the parameters. Two walks over the function, O(ops +
// operands). (Griewank and Walther, Evaluating Derivatives, chapter 3.)
//
//===------------------------------------------------------------------------------------------===//

#include "passes/training/Passes.h"
#include "passes/training/Step.h"

#include "dialects/graph/VjpBuilder.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_DIFFERENTIATE
#include "passes/training/Passes.h.inc"

namespace {

bool isFloat(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && isa<FloatType>(tensor.getElementType());
}

bool isFloatScalar(Type type) {
  return isFloat(type) && cast<RankedTensorType>(type).getRank() == 0;
}

/// An attribute of a value that is an argument; null if it is not, or does not have it.
Attribute parameterAttr(Value value, StringRef name) {
  auto argument = dyn_cast<BlockArgument>(value);
  auto function =
      argument ? dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp()) : func::FuncOp();
  return function ? function.getArgAttr(argument.getArgNumber(), name) : Attribute();
}

/// Which values carry a cotangent: floats that depend on a parameter and that the loss depends on.
class Activity {
public:
  Activity(func::FuncOp function, Value loss) {
    for (BlockArgument argument : function.getArguments())
      if (isFloat(argument.getType()) &&
          function.getArgAttr(argument.getArgNumber(), graph::kParameterAttr))
        dependent.insert(argument);
    Block &body = function.getBody().front();
    for (Operation &op : body)
      if (llvm::any_of(op.getOperands(),
                       [&](Value operand) { return dependent.contains(operand); }))
        for (Value result : op.getResults())
          if (isFloat(result.getType()))
            dependent.insert(result);
    DenseSet<Value> needed{loss};
    for (Operation &op : llvm::reverse(body)) {
      if (!llvm::any_of(op.getResults(),
                        [&](Value result) { return needed.contains(result) && varies(result); }))
        continue;
      active.push_back(&op);
      needed.insert(op.operand_begin(), op.operand_end());
    }
  }

  /// Whether the value depends on a parameter.
  bool varies(Value value) const { return dependent.contains(value); }
  /// The active ops, last first.
  ArrayRef<Operation *> ops() const { return active; }

private:
  DenseSet<Value> dependent;
  SmallVector<Operation *> active;
};

/// The type in which the cotangent of `value` is summed: its own, but that of the master for a
/// parameter that has one, and that of the parameter for a rounded copy.
RankedTensorType cotangentType(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  if (auto copy = value.getDefiningOp<graph::ConvertOp>())
    if (isa<BlockArgument>(copy.getX()) && isFloat(copy.getX().getType()) && isFloat(type) &&
        graph::accumulationType(type.getElementType()) == copy.getX().getType().getElementType() &&
        parameterAttr(copy.getX(), graph::kParameterAttr))
      return copy.getX().getType();
  if (auto master = dyn_cast_or_null<TypeAttr>(parameterAttr(value, graph::kMasterAttr)))
    return type.clone(master.getValue());
  return type;
}

/// Cotangents of all values of the function.
struct Cotangents {
  DenseMap<Value, Value> sums = DenseMap<Value, Value>();

  /// Adds in the type that sums are kept in, and rounds once where that is not the value's own.
  void add(graph::VjpBuilder &vjp, Value value, Value cotangent) {
    Value &sum = sums[value];
    if (!sum) {
      sum = cotangent;
      return;
    }
    Type type = cotangentType(value).getElementType(), wide = graph::accumulationType(type);
    Value total = graph::AddOp::create(vjp.builder(), vjp.location(), vjp.convert(sum, wide),
                                       vjp.convert(cotangent, wide));
    sum = vjp.convert(total, type);
  }
};

/// The builder that the rule of one op sees.
class OpVjp : public graph::VjpBuilder {
public:
  OpVjp(Operation *op, OpBuilder &ops, const Activity &activity, Cotangents &cotangents)
      : op(op), ops(ops), activity(activity), cotangents(cotangents) {}

  OpBuilder &builder() override { return ops; }
  Location location() const override { return op->getLoc(); }
  Value cotangent(unsigned result) override {
    return cotangents.sums.lookup(op->getResult(result));
  }
  Value cotangentOrZero(unsigned result) override {
    Value sum = cotangent(result);
    return sum ? sum : splat(cast<RankedTensorType>(op->getResult(result).getType()), 0);
  }
  bool wants(unsigned operand) const override { return activity.varies(op->getOperand(operand)); }
  Type gradientType(unsigned operand) const override {
    return cotangentType(op->getOperand(operand)).getElementType();
  }
  void add(unsigned operand, Value value) override {
    if (!wants(operand))
      return;
    Value primal = op->getOperand(operand);
    RankedTensorType type = cotangentType(primal);
    Type from = cast<RankedTensorType>(value.getType()).getElementType();
    // Sums over broadcast dimensions are taken in the wider type.
    bool widens = graph::accumulationType(from) == type.getElementType();
    if (widens)
      value = convert(value, type.getElementType());
    value = convert(reduceTo(value, type), type.getElementType());
    assert(value.getType() == type && "a cotangent has the shape of its value");
    cotangents.add(*this, primal, value);
  }

private:
  Operation *op;
  OpBuilder &ops;
  const Activity &activity;
  Cotangents &cotangents;
};

/// "'loss' of tensor<f32>, 'logits' of tensor<2x4xf32>"
std::string listOutputs(func::FuncOp function) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  llvm::ListSeparator separator;
  for (unsigned index = 0; index < function.getNumResults(); ++index)
    if (StringRef name = resultString(function, index, graph::kOutputAttr); !name.empty())
      stream << separator << "'" << name << "' of " << function.getResultTypes()[index];
  return text.empty() ? "none" : text;
}

/// The result to minimise, by name or as the only float scalar.
FailureOr<unsigned> findLoss(func::FuncOp function, StringRef name) {
  SmallVector<unsigned> candidates;
  for (unsigned index = 0; index < function.getNumResults(); ++index) {
    StringRef output = resultString(function, index, graph::kOutputAttr);
    if (name.empty() ? !output.empty() && isFloatScalar(function.getResultTypes()[index])
                     : output == name)
      candidates.push_back(index);
  }
  if (candidates.size() == 1 && isFloatScalar(function.getResultTypes()[candidates[0]]))
    return candidates[0];
  InFlightDiagnostic error = emitError(function.getLoc());
  if (candidates.empty() && name.empty())
    error << "no output is a float scalar, so there is no loss to minimise";
  else if (candidates.empty())
    error << "the model has no output '" << name << "'";
  else if (candidates.size() == 1)
    error << "the loss '" << name << "' is of " << function.getResultTypes()[candidates[0]]
          << "; expected a float scalar";
  else if (name.empty())
    error << candidates.size() << " outputs are float scalars; say which one is the loss";
  else
    error << candidates.size() << " outputs are called '" << name << "'";
  error << "; outputs: " << listOutputs(function);
  return error;
}

/// Parameters can be trained if they are floats; names every one that is not.
LogicalResult checkParameters(func::FuncOp function) {
  LogicalResult result = success();
  for (BlockArgument argument : function.getArguments()) {
    StringRef name = argumentString(function, argument.getArgNumber(), graph::kParameterAttr);
    if (name.empty() || isFloat(argument.getType()))
      continue;
    result = emitError(function.getLoc())
             << "parameter '" << name << "' is of " << argument.getType()
             << ", which cannot be trained; mark it '" << graph::kBufferAttr << "'";
  }
  return result;
}

/// One error that lists all active ops that have no rule.
LogicalResult checkRules(func::FuncOp function, const Activity &activity) {
  SmallVector<Operation *> missing;
  for (Operation *op : llvm::reverse(activity.ops()))
    if (!isa<graph::DifferentiableOpInterface>(op))
      missing.push_back(op);
  if (missing.empty())
    return success();
  InFlightDiagnostic error = emitError(function.getLoc())
                             << missing.size() << (missing.size() == 1 ? " op" : " ops")
                             << " between the parameters and the loss cannot be differentiated";
  for (Operation *op : missing)
    error.attachNote(op->getLoc()) << "'" << op->getName() << "' has no gradient rule";
  return error;
}

struct DifferentiatePass : impl::DifferentiateBase<DifferentiatePass> {
  using DifferentiateBase::DifferentiateBase;

  void runOnOperation() override {
    func::FuncOp function = findForward(getOperation());
    if (!function || failed(differentiate(function)))
      signalPassFailure();
  }

  LogicalResult differentiate(func::FuncOp function) {
    if (hasGradients(function))
      return emitError(function.getLoc(),
                       "@forward has gradients already; gradients of gradients are not supported");
    FailureOr<int64_t> steps = accumulationSteps(getOperation());
    FailureOr<unsigned> lossIndex = findLoss(function, loss);
    if (failed(checkParameters(function)) || failed(steps) || failed(lossIndex))
      return failure();
    Operation *terminator = function.getBody().front().getTerminator();
    Value lossValue = terminator->getOperand(*lossIndex);
    Activity activity(function, lossValue);
    if (failed(checkRules(function, activity)))
      return failure();

    PhaseListener forward(kForward), backward(kBackward);
    for (Operation &op : function.getBody().front().without_terminator())
      forward.notifyOperationInserted(&op, {});
    OpBuilder builder(terminator, &backward);
    Cotangents cotangents;
    auto type = cast<RankedTensorType>(lossValue.getType());
    auto seed = builder.getFloatAttr(type.getElementType(), 1.0 / double(*steps));
    Value start =
        graph::ConstantOp::create(builder, lossValue.getLoc(), DenseElementsAttr::get(type, seed));
    FailureOr<Value> scaled = scale(function, builder, start);
    if (failed(scaled))
      return failure();
    cotangents.sums[lossValue] = *scaled;
    for (Operation *op : activity.ops()) {
      if (llvm::none_of(op->getResults(),
                        [&](Value result) { return cotangents.sums.contains(result); }))
        continue;
      OpVjp vjp(op, builder, activity, cotangents);
      if (failed(cast<graph::DifferentiableOpInterface>(op).buildVjp(vjp)))
        return failure();
    }
    function.setResultAttr(*lossIndex, graph::kMetricAttr, builder.getStringAttr("loss"));
    if (failed(returnGradients(function, builder, cotangents)))
      return failure();
    eraseUnused(function);
    return success();
  }

  /// The cotangent of the loss times the loss scale, an argument more, if the module has one.
  FailureOr<Value> scale(func::FuncOp function, OpBuilder &builder, Value start) {
    if (!getOperation()->hasAttr(graph::kLossScaleAttr))
      return start;
    auto f64 = RankedTensorType::get({}, builder.getF64Type());
    auto place = graph::MemberAttr::get(&getContext(), builder.getStringAttr(graph::kLossScaleKind),
                                        /*index=*/0, /*offset=*/0);
    unsigned index = function.getNumArguments();
    if (failed(function.insertArgument(
            index, f64, builder.getDictionaryAttr(builder.getNamedAttr(graph::kMemberAttr, place)),
            start.getLoc())))
      return failure();
    Value scale = function.getArgument(index);
    if (start.getType() != f64)
      scale = graph::ConvertOp::create(builder, start.getLoc(), start.getType(), scale);
    return graph::MulOp::create(builder, start.getLoc(), scale, start).getResult();
  }

  /// Erases what rules built for operands that did not want it.
  void eraseUnused(func::FuncOp function) {
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(function.getBody().front()))) {
      auto phase = op.getAttrOfType<StringAttr>(graph::kPhaseAttr);
      if (phase && phase.getValue() == kBackward && op.use_empty())
        op.erase();
    }
  }

  /// Appends a result per parameter, zeros where nothing arrived.
  LogicalResult returnGradients(func::FuncOp function, OpBuilder &builder, Cotangents &cotangents) {
    // All at once: each insertion copies the function's type.
    SmallVector<Value> gradients;
    SmallVector<Type> types;
    SmallVector<DictionaryAttr> attributes;
    for (BlockArgument argument : function.getArguments()) {
      auto name =
          function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), graph::kParameterAttr);
      if (!name)
        continue;
      Value gradient = cotangents.sums.lookup(argument);
      if (!gradient) {
        emitWarning(function.getLoc())
            << "the loss does not depend on parameter " << name << "; its gradient is zero";
        RankedTensorType type = cotangentType(argument);
        gradient = graph::ConstantOp::create(
            builder, argument.getLoc(),
            DenseElementsAttr::get(type, builder.getZeroAttr(type.getElementType())));
      }
      gradients.push_back(gradient);
      types.push_back(gradient.getType());
      attributes.push_back(
          builder.getDictionaryAttr(builder.getNamedAttr(graph::kGradientAttr, name)));
    }
    const SmallVector<unsigned> places(gradients.size(), function.getNumResults());
    if (failed(function.insertResults(places, types, attributes)))
      return failure();
    Operation *terminator = function.getBody().front().getTerminator();
    terminator->insertOperands(terminator->getNumOperands(), gradients);
    return success();
  }
};

} // namespace
} // namespace deepshard
