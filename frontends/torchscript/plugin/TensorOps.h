//===- TensorOps.h - runs one op on known and unknown tensors ---------------------------------===//
//
// An unknown tensor is a tensor on LibTorch's meta device: it has shape, strides and type, no data.
// An op whose tensor arguments are all known is run on the CPU: that is constant folding. An op
// with an unknown argument is run on the meta device, which gives the exact shapes and types of its
// results, and is written down. In-place ops write down their functional form; the tensor written
// to stands for the new value from then on, whatever name it has.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_FRONTENDS_TORCHSCRIPT_PLUGIN_TENSOROPS_H
#define DEEPSHARD_FRONTENDS_TORCHSCRIPT_PLUGIN_TENSOROPS_H

#include "frontends/torchscript/plugin/Recorder.h"

#include <set>

namespace deepshard::torchscript {

using Values = std::vector<c10::IValue>;

/// What stands for the results of an op that failed. Whatever depends on it is left out.
inline c10::IValue unknownResult() { return at::Tensor(); }
bool isUnknownResult(const c10::IValue &value);

class TensorOps {
public:
  TensorOps(ImportedGraph &graph, Recorder &recorder, int64_t foldCap)
      : graph(graph), recorder(recorder), foldCap(foldCap) {}

  /// Runs `node`, one of LibTorch's registered operators, on evaluated arguments.
  Values run(const torch::jit::Node *node, Values arguments, const std::string &module);

  /// Treats writes to the storage of `tensor` as writes to buffer `name`.
  void watchBuffer(const at::Tensor &tensor, const std::string &name);
  /// Counts `tensor` among those that may share their storage with others.
  void track(const at::Tensor &tensor);
  /// Follows in-place writes of unknown values to known tensors.
  at::Tensor current(const at::Tensor &tensor) const;

  /// Watched buffers that the program wrote to.
  const std::set<std::string> &writtenBuffers() const { return written; }
  void markWritten(const std::string &buffer) { written.insert(buffer); }

private:
  struct Call {
    const torch::jit::Node *node;
    const c10::FunctionSchema &schema;
    Values arguments;
    Place place;
  };

  Values runKnown(Call &call);
  Values runUnknown(Call &call);
  Values execute(const Call &call, Values arguments, at::Device device);
  bool exceedsCap(const Call &call);
  void record(const Call &call, std::string name, std::vector<TensorRef> results,
              bool unknownShape = false);
  Values rebind(Call &call, const at::Tensor &written, const Values &results);
  bool checkAliases(const Call &call, const at::Tensor &tensor);
  void noteBufferWrite(const Call &call);
  Values fail(const Call &call, const std::string &message);

  ImportedGraph &graph;
  Recorder &recorder;
  int64_t foldCap;
  std::unordered_map<const c10::StorageImpl *,
                     std::vector<c10::weak_intrusive_ptr<c10::TensorImpl>>>
      sharers;
  std::unordered_map<const c10::TensorImpl *, at::Tensor> replaced;
  std::vector<std::pair<at::Tensor, std::string>> buffers;
  std::set<std::string> written;
};

} // namespace deepshard::torchscript

#endif // DEEPSHARD_FRONTENDS_TORCHSCRIPT_PLUGIN_TENSOROPS_H
