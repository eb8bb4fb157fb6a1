//===- Plugin.cpp - entry point of the LibTorch plugin ----------------------------------------===//

#include "frontends/torchscript/plugin/Model.h"

using namespace deepshard::torchscript;

namespace {

/// LibTorch warns of how its own kernels work, which compute nothing of the plan. And its printing
/// crashes: bound to itself, the plugin has a std::cerr that nobody initialised.
class NoWarnings : public c10::WarningHandler {
public:
  void process(const c10::Warning &) override {}
};

} // namespace

#define DEEPSHARD_EXPORT extern "C" __attribute__((visibility("default")))

DEEPSHARD_EXPORT int ds_torchscript_interface_version() { return kInterfaceVersion; }

DEEPSHARD_EXPORT void ds_torchscript_import(const Request &request, ImportedGraph &graph) {
  auto fault = [&](std::string_view message) {
    graph.faults.push_back({"the importer failed on '" + request.path +
                                "': " + std::string(message.substr(0, message.find('\n'))),
                            std::nullopt});
  };
  NoWarnings handler;
  const c10::WarningUtils::WarningHandlerGuard guard(&handler);
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
