//===- ShapeRules.h - what LibTorch's meta device does not know of single ops -----------------===//

#ifndef DEEPSHARD_FRONTENDS_TORCHSCRIPT_PLUGIN_SHAPERULES_H
#define DEEPSHARD_FRONTENDS_TORCHSCRIPT_PLUGIN_SHAPERULES_H

#include "frontends/torchscript/plugin/TensorOps.h"

namespace deepshard::torchscript {

/// Whether an op uses of its first argument only shape and type (zeros_like), so that it can be run
/// without the data.
bool dependsOnShapeOnly(std::string_view op);

/// The results, on the meta device, of ops whose shape functions LibTorch has in Python only.
std::optional<Values> inferShape(std::string_view op, const Values &arguments);

/// Whether LibTorch cannot run the op on the meta device although the shape of its results depends
/// on shapes alone; it is run on zeros (ones where it divides) then.
bool needsZeros(std::string_view op, const Values &arguments);

/// Leaves a loss over classes, whose result does not depend on their number, one class: the logits
/// of a language model would take gigabytes.
void keepOneClass(std::string_view op, Values &arguments);

/// Rewrites known indices of indexing ops: masks to positions, negative positions to positive ones.
void normalizeIndices(std::string_view op, Values &arguments);

/// Notes dropouts that were traced switched off.
void noteInactiveDropout(ImportedGraph &graph, std::string_view op, const Values &arguments,
                         const Place &place);

} // namespace deepshard::torchscript

#endif // DEEPSHARD_FRONTENDS_TORCHSCRIPT_PLUGIN_SHAPERULES_H
