//===- graph-eval.cpp - runs functions of graph ops on the reference kernels ------------------===//
//
//   graph-eval FILE.mlir IN.safetensors OUT.safetensors
//
// Runs every function all of whose arguments "<function>.<index>" are in IN, and writes
// "<function>.<index>" per result. `graph-eval --list-ops` prints the ops of the dialect and which
// interfaces they have.
//
//===------------------------------------------------------------------------------------------===//

#include "dialects/graph/Graph.h"
#include "dialects/graph/Interpreter.h"
#include "runtime/checkpoint/SafeTensors.h"
#include "runtime/plan/Error.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/raw_ostream.h"

#include <list>

using namespace mlir;
using namespace deepshard;

namespace {

int listOps(MLIRContext &context) {
  for (RegisteredOperationName op : context.getRegisteredOperations()) {
    if (op.getDialectNamespace() != graph::GraphDialect::getDialectNamespace())
      continue;
    llvm::outs() << op.getStringRef()
                 << (op.hasInterface<graph::DifferentiableOpInterface>() ? " differentiable" : "")
                 << (op.hasInterface<graph::DecomposableOpInterface>() ? " composite" : "")
                 << (op.hasInterface<graph::ShardingRuleOpInterface>() ? " shardable" : "") << "\n";
  }
  return 0;
}

/// The argument of type `type` called `name`; nothing if the file does not have it.
std::optional<graph::HostTensor> readArgument(const runtime::SafeTensorsFile &file,
                                              const std::string &name, RankedTensorType type) {
  const runtime::SafeTensorsFile::Entry *entry = file.find(name);
  if (!entry)
    return std::nullopt;
  graph::HostTensor tensor(type);
  if (entry->dtype != tensor.getDesc().dtype || entry->shape != tensor.getDesc().shape)
    throw runtime::Error(name + ": type or shape of the file differs from the function's");
  if (tensor.size() > 0)
    file.file().read(entry->offset, tensor.data(), tensor.size());
  return tensor;
}

/// Runs one function and appends its results; nothing to do if an argument is missing.
LogicalResult runFunction(func::FuncOp function, const runtime::SafeTensorsFile &file,
                          std::list<graph::HostTensor> &kept,
                          std::vector<runtime::SavedTensor> &saved) {
  std::vector<graph::HostTensor> arguments;
  for (auto [index, type] : llvm::enumerate(function.getArgumentTypes())) {
    auto tensor = readArgument(file, (function.getName() + "." + Twine(index)).str(),
                               cast<RankedTensorType>(type));
    if (!tensor)
      return success();
    arguments.push_back(std::move(*tensor));
  }
  FailureOr<SmallVector<graph::HostTensor>> results = graph::evaluateFunction(function, arguments);
  if (failed(results))
    return failure();
  for (auto [index, result] : llvm::enumerate(*results)) {
    kept.push_back(std::move(result));
    saved.push_back({(function.getName() + "." + Twine(index)).str(),
                     {},
                     kept.back().getDesc(),
                     kept.back().data()});
  }
  return success();
}

int run(MLIRContext &context, char **argv) {
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(argv[1], &context);
  if (!module)
    return 1;
  runtime::SafeTensorsFile file(argv[2]);
  std::list<graph::HostTensor> kept;
  std::vector<runtime::SavedTensor> saved;
  for (func::FuncOp function : module->getOps<func::FuncOp>())
    if (failed(runFunction(function, file, kept, saved)))
      return 1;
  runtime::saveSafeTensors(argv[3], saved);
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  MLIRContext context;
  context.loadDialect<func::FuncDialect, graph::GraphDialect>();
  if (argc == 2 && StringRef(argv[1]) == "--list-ops")
    return listOps(context);
  if (argc != 4) {
    llvm::errs()
        << "usage: graph-eval FILE.mlir IN.safetensors OUT.safetensors | graph-eval --list-ops\n";
    return 2;
  }
  try {
    return run(context, argv);
  } catch (const std::exception &error) {
    llvm::errs() << "graph-eval: " << error.what() << "\n";
    return 1;
  }
}
