//===- Plugin.cpp - entry point of the LibTorch plugin ----------------------------------------===//

#include "frontends/torchscript/plugin/Model.h"

using namespace deepshard::torchscript;

#define DEEPSHARD_EXPORT extern "C" __attribute__((visibility("default")))

DEEPSHARD_EXPORT int ds_torchscript_interface_version() { return kInterfaceVersion; }

DEEPSHARD_EXPORT void ds_torchscript_import(const Request &request, ImportedGraph &graph) {
  auto fault = [&](std::string_view message) {
    graph.faults.push_back({"the importer failed on '" + request.path +
                                "': " + std::string(message.substr(0, message.find('\n'))),
                            std::nullopt});
  };
  try {
    importModel(request, graph);
  } catch (const ImportError &error) {
    graph.faults.push_back(error.fault);
  } catch (const c10::Error &error) {
    fault(error.what_without_backtrace());
  } catch (const std::exception &error) {
    fault(error.what());
  }
}
