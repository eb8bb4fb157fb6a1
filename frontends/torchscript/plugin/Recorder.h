//===- Recorder.h - writes down what the evaluator cannot compute -----------------------------===//

#ifndef DEEPSHARD_FRONTENDS_TORCHSCRIPT_PLUGIN_RECORDER_H
#define DEEPSHARD_FRONTENDS_TORCHSCRIPT_PLUGIN_RECORDER_H

#include "frontends/torchscript/Plugin.h"

#include <torch/script.h>

#include <unordered_map>

namespace deepshard::torchscript {

/// The name of the graph dialect for `type`, or LibTorch's own if the dialect has no such type.
std::string elementTypeName(at::ScalarType type);
/// Nothing for a name that is none of the graph dialect's.
std::optional<at::ScalarType> scalarType(std::string_view elementType);
TensorType tensorType(const at::Tensor &tensor);

/// A tensor without data of the same shape, strides and type.
at::Tensor toMeta(const at::Tensor &tensor);

/// Gives tensors their indices in an ImportedGraph and turns evaluated arguments into literals. An
/// unknown tensor is a tensor on the meta device; every other tensor is a constant.
class Recorder {
public:
  explicit Recorder(ImportedGraph &graph) : graph(graph) {}

  /// A new index for `tensor`, which is unknown; it replaces an index that the tensor had (in-place
  /// ops).
  TensorRef define(const at::Tensor &tensor);
  /// The index of `tensor` if it is unknown and has one.
  std::optional<TensorRef> find(const at::Tensor &tensor) const;
  /// The index of `tensor`; a constant is written down with the contents it has now.
  TensorRef refer(const at::Tensor &tensor);
  /// An argument of an op.
  Literal literal(const c10::IValue &value);

  /// Module and source line of a node that is run as part of module `module`.
  Place place(const torch::jit::Node *node, const std::string &module) const;

private:
  struct Entry {
    c10::weak_intrusive_ptr<c10::TensorImpl> tensor; // keeps the address from being used again
    uint32_t version;                                // of a constant's contents
    TensorRef ref;
  };

  TensorRef constant(const at::Tensor &tensor);

  ImportedGraph &graph;
  std::unordered_map<const c10::TensorImpl *, Entry> entries;
};

} // namespace deepshard::torchscript

#endif // DEEPSHARD_FRONTENDS_TORCHSCRIPT_PLUGIN_RECORDER_H
