//===- Import.cpp - from a TorchScript archive to the graph dialect ---------------------------===//

#include "frontends/torchscript/Import.h"

#include "dialects/graph/Graph.h"
#include "frontends/torchscript/Translate.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Diagnostics.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <dlfcn.h>

#include <cstdlib>
#include <fstream>
#include <set>

using namespace mlir;
using namespace deepshard;
using namespace deepshard::torchscript;

namespace {

constexpr const char *kPluginFile = "libds_torchscript.so";
constexpr const char *kPluginVariable = "DEEPSHARD_TORCHSCRIPT_PLUGIN";

/// The plugin's file, or where it was looked for.
FailureOr<std::string> findPlugin(MLIRContext &context, const TorchScriptImportOptions &options) {
  std::vector<std::string> candidates;
  if (const char *variable = std::getenv(kPluginVariable);
      !options.pluginPath.empty() || variable) {
    candidates.push_back(options.pluginPath.empty() ? variable : options.pluginPath);
  } else {
    std::string program = llvm::sys::fs::getMainExecutable(nullptr, nullptr);
    StringRef directory = llvm::sys::path::parent_path(program);
    candidates.push_back((llvm::sys::path::parent_path(directory) + "/lib/" + kPluginFile).str());
    candidates.push_back((directory + "/" + kPluginFile).str());
  }
  for (const std::string &candidate : candidates)
    if (llvm::sys::fs::exists(candidate))
      return candidate;
  auto diagnostic = emitError(UnknownLoc::get(&context))
                    << "the TorchScript importer is missing: there is no";
  for (const std::string &candidate : candidates)
    diagnostic << " '" << candidate << "'";
  return diagnostic << "; build it with DEEPSHARD_TORCHSCRIPT=ON or name it in $"
                    << kPluginVariable;
}

/// The plugin's entry point. LibTorch stays loaded until the program ends: it cannot be unloaded.
FailureOr<ImportFunction> loadPlugin(MLIRContext &context, const std::string &path) {
  // Local and bound to itself first: LibTorch contains another Protocol Buffers than this program.
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  if (!library)
    return emitError(UnknownLoc::get(&context))
           << "the TorchScript importer does not load: " << dlerror();
  auto version = reinterpret_cast<VersionFunction>(dlsym(library, kVersionSymbol));
  auto import = reinterpret_cast<ImportFunction>(dlsym(library, kImportSymbol));
  if (!version || !import || version() != kInterfaceVersion)
    return emitError(UnknownLoc::get(&context))
           << "'" << path << "' is of another version than this program; build both together";
  return import;
}

Request makeRequest(const TorchScriptImportOptions &options) {
  Request request;
  request.path = options.path;
  request.foldCap = options.foldCap;
  for (const InputSpec &input : options.inputs)
    request.inputs.push_back({input.name,
                              {input.elementType, input.resolve(options.batch)},
                              input.batchDimension,
                              input.sequenceDimension});
  return request;
}

LogicalResult checkInputNames(MLIRContext &context, const TorchScriptImportOptions &options) {
  std::set<std::string> names;
  bool good = true;
  for (const InputSpec &input : options.inputs)
    if (!names.insert(input.name).second) {
      emitError(UnknownLoc::get(&context)) << "input '" << input.name << "' is given twice";
      good = false;
    }
  return success(good);
}

void warnEvalMode(MLIRContext &context, const ImportedGraph &graph) {
  if (!graph.training)
    emitWarning(UnknownLoc::get(&context))
        << "the model was traced in eval mode: dropout and the like are switched "
           "off; call model.train() before tracing to train as usual";
  else if (!graph.inactiveDropouts.empty())
    emitWarning(locationOf(&context, graph.inactiveDropouts.front()))
        << graph.inactiveDropouts.size()
        << " dropouts were traced switched off (eval mode), the first of them here; they do "
           "nothing in training";
}

} // namespace

bool deepshard::isTorchScriptArchive(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  char magic[4] = {};
  return file.read(magic, sizeof(magic)) && StringRef(magic, 4) == StringRef("PK\3\4", 4);
}

FailureOr<OwningOpRef<ModuleOp>>
deepshard::importTorchScript(MLIRContext &context, const TorchScriptImportOptions &options) {
  context.loadDialect<func::FuncDialect, graph::GraphDialect>();
  if (failed(checkInputNames(context, options)))
    return failure();
  FailureOr<std::string> plugin = findPlugin(context, options);
  if (failed(plugin))
    return failure();
  FailureOr<ImportFunction> import = loadPlugin(context, *plugin);
  if (failed(import))
    return failure();
  ImportedGraph graph;
  (*import)(makeRequest(options), graph);
  for (const Fault &fault : graph.faults)
    emitError(fault.place ? locationOf(&context, *fault.place) : UnknownLoc::get(&context))
        << fault.message;
  FailureOr<OwningOpRef<ModuleOp>> module = translate(context, graph, options.path, options.f64);
  if (failed(module) || !graph.faults.empty())
    return failure();
  if (graph.outputs.empty())
    return emitError(UnknownLoc::get(&context)) << "the model's forward returns no tensor";
  if (options.training)
    warnEvalMode(context, graph);
  return module;
}
