//===- Evaluator.h - partial evaluation of a TorchScript program ------------------------------===//
//
// State: per call a frame of SSA values; values are LibTorch's own (numbers, lists, modules,
// tensors), where a tensor without data (meta device) stands for one that is not known before the
// model runs. Invariant: all that is not a tensor of the model's data is known, so control flow is
// executed, not translated, and a call is followed into the module called. A value is dropped after
// its last use: whether a tensor that shares its storage is still needed decides whether an
// in-place op can be made functional.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_FRONTENDS_TORCHSCRIPT_PLUGIN_EVALUATOR_H
#define DEEPSHARD_FRONTENDS_TORCHSCRIPT_PLUGIN_EVALUATOR_H

#include "frontends/torchscript/plugin/TensorOps.h"

namespace deepshard::torchscript {

class Evaluator {
public:
  Evaluator(ImportedGraph &graph, Recorder &recorder, TensorOps &ops)
      : graph(graph), recorder(recorder), ops(ops) {}

  /// Names the module object `object` and those inside it.
  void nameModules(const c10::intrusive_ptr<c10::ivalue::Object> &object, const std::string &path);

  /// Runs a method on evaluated arguments, `self` first. Faults are added to the graph's.
  c10::IValue call(torch::jit::Function &function, Values arguments, const std::string &module);

private:
  struct Frame {
    std::unordered_map<const torch::jit::Value *, c10::IValue> values;
    std::string module;
  };

  Values runBlock(const torch::jit::Block *block, Frame &frame);
  void runNode(const torch::jit::Node *node, Frame &frame);
  Values runPrimitive(const torch::jit::Node *node, Values arguments, Frame &frame);
  Values runIf(const torch::jit::Node *node, const c10::IValue &condition, Frame &frame);
  Values runLoop(const torch::jit::Node *node, Values arguments, Frame &frame);
  Values runCallMethod(const torch::jit::Node *node, Values arguments);
  Values unpack(const torch::jit::Node *node, const c10::IValue &sequence, const Frame &frame);
  Values construct(const torch::jit::Node *node, Values arguments, const Frame &frame);
  void setAttribute(const torch::jit::Node *node, const Values &arguments);
  Values fail(const torch::jit::Node *node, const Frame &frame, const std::string &message);
  void findLastUses(const torch::jit::Block *block);

  ImportedGraph &graph;
  Recorder &recorder;
  TensorOps &ops;
  std::unordered_map<const c10::ivalue::Object *, std::string> modulePaths;
  /// Node -> values of its block that nothing behind it uses.
  std::unordered_map<const torch::jit::Node *, std::vector<const torch::jit::Value *>> lastUses;
  std::set<const torch::jit::Block *> analysed;
};

} // namespace deepshard::torchscript

#endif // DEEPSHARD_FRONTENDS_TORCHSCRIPT_PLUGIN_EVALUATOR_H
