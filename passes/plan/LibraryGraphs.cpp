//===- LibraryGraphs.cpp - kernels of cuDNN, compiled for a plan ------------------------------===//

#include "passes/plan/LibraryGraphs.h"

#include "runtime/kernels/cuda/GraphCompiler.h"
#include "runtime/plan/Error.h"
#include "runtime/plan/Types.h"

#include <map>
#include <stdexcept>

namespace deepshard {

/// The launches of provider "cudnn", equal ones together.
static std::map<std::string, std::vector<planpb::Launch *>> launchesOf(planpb::Plan &plan) {
  std::map<std::string, std::vector<planpb::Launch *>> groups;
  for (planpb::Program &program : *plan.mutable_programs())
    for (planpb::Segment &segment : *program.mutable_segments())
      for (planpb::Task &task : *segment.mutable_tasks())
        if (task.has_launch() && task.launch().provider() == "cudnn")
          groups[runtime::kernelKey(task.launch())].push_back(task.mutable_launch());
  return groups;
}

std::string addLibraryGraphs(const std::string &chip, const std::string &libraries,
                             planpb::Plan &plan) {
  const auto groups = launchesOf(plan);
  const std::optional<runtime::GpuDescription> gpu = runtime::describedGpu(chip);
  if (groups.empty() || !gpu)
    return "";
  std::string reason;
  try {
    std::unique_ptr<runtime::GraphCompiler> compiler =
        runtime::openGraphCompiler({*gpu, libraries});
    for (const auto &[key, launches] : groups)
      try {
        const runtime::StoredGraph graph =
            compiler->build(runtime::kernelSpec(*launches.front(), 1));
        for (planpb::Launch *launch : launches)
          (*launch->mutable_attributes())[runtime::kGraphAttribute].set_integer(
              plan.library_graphs_size());
        *plan.add_library_graphs() = runtime::schemaGraph(graph);
      } catch (const std::exception &error) { // of the library too: nothing is lost
        reason = launches.front()->kernel() + ": " + error.what();
      }
  } catch (const runtime::Error &error) {
    reason = error.what();
  }
  return reason;
}

} // namespace deepshard
