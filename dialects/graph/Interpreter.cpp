//===- Interpreter.cpp - runs graph programs on the reference kernels -------------------------===//

#include "dialects/graph/Interpreter.h"

#include "dialects/graph/Graph.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"

#include <stdexcept>

using namespace mlir;

namespace deepshard::graph {

namespace {

using Results = SmallVector<HostTensor>;

/// The values of a block while it runs; a value is dropped after its last use.
class Values {
public:
  explicit Values(ValueRange results) : results(results) {}

  void set(Value value, HostTensor tensor) {
    values[value] = std::make_shared<HostTensor>(std::move(tensor));
    remaining[value] = static_cast<size_t>(std::distance(value.use_begin(), value.use_end()));
  }
  const HostTensor *get(Value value) const { return values.at(value).get(); }
  /// One use of `value` is over.
  void release(Value value) {
    if (--remaining[value] == 0 && !llvm::is_contained(results, value))
      values.erase(value);
  }

private:
  ValueRange results;
  std::map<Value, std::shared_ptr<HostTensor>, decltype([](Value a, Value b) {
             return a.getAsOpaquePointer() < b.getAsOpaquePointer();
           })>
      values;
  llvm::DenseMap<Value, size_t> remaining;
};

/// `desc` seen in the shape of the result, aligned at the trailing dimensions, repeated dimensions
/// with stride 0.
runtime::TensorDesc broadcastTo(const runtime::TensorDesc &desc, ArrayRef<int64_t> shape) {
  runtime::TensorDesc wide{
      desc.dtype, {shape.begin(), shape.end()}, std::vector<int64_t>(shape.size(), 0)};
  size_t missing = shape.size() - desc.shape.size();
  for (size_t dim = 0; dim < desc.shape.size(); ++dim)
    if (desc.shape[dim] != 1)
      wide.strides[missing + dim] = desc.strides[dim];
  return wide;
}

FailureOr<Results> runKernel(EvaluableOpInterface op, ArrayRef<const HostTensor *> operands) {
  const runtime::KernelProvider *provider = runtime::findProvider("reference");
  if (!provider)
    return op->emitError("this build has no reference kernels");
  runtime::KernelSpec spec;
  spec.name = op.getKernelName().str();
  spec.attributes = toKernelAttributes(op.getKernelAttributes());
  Results results;
  for (Type type : op->getResultTypes()) {
    results.emplace_back(cast<RankedTensorType>(type));
    spec.outputs.push_back(results.back().getDesc());
  }
  std::vector<void *> inputs, outputs;
  for (const HostTensor *operand : operands) {
    spec.inputs.push_back(
        op.isElementwise() ? broadcastTo(operand->getDesc(), results.front().getType().getShape())
                           : operand->getDesc());
    inputs.push_back(const_cast<void *>(operand->data()));
  }
  for (HostTensor &result : results)
    outputs.push_back(result.data());
  try {
    if (std::optional<std::string> why = provider->whyNot(spec))
      return op->emitError("the reference kernels cannot run ") << spec.name << ": " << *why;
    std::vector<char> workspace(provider->workspaceBytes(spec) + 64);
    auto address = (reinterpret_cast<uintptr_t>(workspace.data()) + 63) & ~uintptr_t{63};
    provider->prepare(spec)->run({inputs, outputs, reinterpret_cast<void *>(address)});
  } catch (const std::exception &error) {
    return op->emitError("the reference kernel ") << spec.name << " refuses: " << error.what();
  }
  return results;
}

/// Runs `ops`, which read `parameters` and each other's results; `outputs` are the values to
/// return.
template <typename Ops>
FailureOr<Results> runOps(Ops &&ops, ValueRange parameters, ArrayRef<const HostTensor *> arguments,
                          ValueRange outputs) {
  Values values(outputs);
  for (auto [parameter, tensor] : llvm::zip_equal(parameters, arguments))
    values.set(parameter, *tensor);
  for (Operation &op : ops) {
    SmallVector<const HostTensor *> operands;
    for (Value operand : op.getOperands())
      operands.push_back(values.get(operand));
    FailureOr<Results> results = evaluateOp(&op, operands);
    if (failed(results))
      return failure();
    for (auto [value, tensor] : llvm::zip_equal(op.getResults(), *results))
      values.set(value, std::move(tensor));
    for (Value operand : op.getOperands())
      values.release(operand);
  }
  Results results;
  for (Value output : outputs)
    results.push_back(*values.get(output));
  return results;
}

/// Decomposes a copy of `op` in a block of its own and runs that.
FailureOr<Results> runDecomposition(DecomposableOpInterface op,
                                    ArrayRef<const HostTensor *> operands) {
  Block block;
  for (Value operand : op->getOperands())
    block.addArgument(operand.getType(), op->getLoc());
  OpBuilder builder(op->getContext());
  builder.setInsertionPointToEnd(&block);
  Operation *copy = builder.clone(*op);
  copy->setOperands(block.getArguments());
  builder.setInsertionPoint(copy);
  FailureOr<SmallVector<Value>> outputs = cast<DecomposableOpInterface>(copy).decompose(builder);
  copy->erase();
  if (failed(outputs))
    return op->emitError("has no decomposition for these types");
  return runOps(block, block.getArguments(), operands, *outputs);
}

} // namespace

FailureOr<Results> evaluateOp(Operation *op, ArrayRef<const HostTensor *> operands) {
  if (auto constant = dyn_cast<ConstantOp>(op)) {
    Results results;
    results.push_back(toHostTensor(constant.getValue()));
    return results;
  }
  if (auto evaluable = dyn_cast<EvaluableOpInterface>(op))
    return runKernel(evaluable, operands);
  if (auto composite = dyn_cast<DecomposableOpInterface>(op))
    return runDecomposition(composite, operands);
  return op->emitOpError(
      "cannot be evaluated: it has neither a reference kernel nor a decomposition");
}

FailureOr<Results> evaluateFunction(func::FuncOp function, ArrayRef<HostTensor> arguments) {
  if (!function.getBody().hasOneBlock() || function.getBody().front().empty())
    return function.emitError("cannot be evaluated: expected a body of one block");
  if (arguments.size() != function.getNumArguments())
    return function.emitError("takes ")
           << function.getNumArguments() << " arguments, got " << arguments.size();
  SmallVector<const HostTensor *> pointers;
  for (auto [index, argument] : llvm::enumerate(arguments)) {
    if (argument.getType() != function.getArgumentTypes()[index])
      return function.emitError("argument ")
             << index << " has type " << function.getArgumentTypes()[index]
             << ", got a value of type " << argument.getType();
    pointers.push_back(&argument);
  }
  Block &body = function.getBody().front();
  return runOps(body.without_terminator(), body.getArguments(), pointers,
                body.back().getOperands());
}

} // namespace deepshard::graph
