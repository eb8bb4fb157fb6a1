//===- Model.h - arguments and outputs of the imported program --------------------------------===//

#ifndef DEEPSHARD_FRONTENDS_TORCHSCRIPT_PLUGIN_MODEL_H
#define DEEPSHARD_FRONTENDS_TORCHSCRIPT_PLUGIN_MODEL_H

#include "frontends/torchscript/plugin/Archive.h"

namespace deepshard::torchscript {

/// Evaluates method `forward` of the archive. Faults are added to the graph's; throws ImportError
/// on a file that cannot be loaded.
void importModel(const Request &request, ImportedGraph &graph);

} // namespace deepshard::torchscript

#endif // DEEPSHARD_FRONTENDS_TORCHSCRIPT_PLUGIN_MODEL_H
