//===- Model.cpp - arguments and outputs of the imported program ------------------------------===//
//
// Before the program runs, every tensor attribute of the model's modules is replaced: by a tensor
// without data if it is a parameter, by its contents if it is a small buffer (so that masks and
// tables fold). Should the program turn out to write to such a buffer, the import starts again with
// the buffer unknown; its last value becomes a result.
//
//===------------------------------------------------------------------------------------------===//

#include "frontends/torchscript/plugin/Model.h"

#include "frontends/torchscript/plugin/Evaluator.h"

#include <ATen/Parallel.h>

#include <map>

using namespace deepshard::torchscript;

namespace {

using Object = c10::intrusive_ptr<c10::ivalue::Object>;

/// A tensor attribute of a module, with the tensor that the archive gave it.
struct Attribute {
  Object owner;
  size_t slot;
  std::string name;
  at::Tensor tensor;
  bool trained;
};

void collectAttributes(const Object &object, const std::string &prefix,
                       std::set<const void *> &visited, std::vector<Attribute> &attributes) {
  if (!visited.insert(object.get()).second)
    return;
  auto type = object->type();
  for (size_t i = 0; i < type->numAttributes(); ++i) {
    const c10::IValue &value = object->getSlot(i);
    std::string name = prefix + type->getAttributeName(i);
    if (value.isModule())
      collectAttributes(value.toObject(), name + ".", visited, attributes);
    else if (value.isTensor() && value.toTensor().defined())
      attributes.push_back({object, i, name, value.toTensor(),
                            type->is_parameter(i) && value.toTensor().requires_grad()});
  }
}

std::string describe(const std::string &name, const TensorType &type) {
  std::string text = name + "=" + type.elementType + "[";
  for (size_t i = 0; i < type.shape.size(); ++i)
    text += (i ? "x" : "") + std::to_string(type.shape[i]);
  return text + "]";
}

class Importer {
public:
  Importer(const Request &request, ImportedGraph &result)
      : request(request), result(result), archive(request.path) {}

  void run();

private:
  void evaluate(ImportedGraph &graph);
  std::vector<const RequestedInput *> matchInputs(const std::vector<std::string> &names);
  void adviseOnSizes(const std::vector<TensorType> &traced);
  void checkTraced(const RequestedInput &input, const TensorType &traced);
  void bindAttributes(ImportedGraph &graph, Recorder &recorder, TensorOps &ops);
  bool isConstant(const Attribute &attribute) const;
  void bindBuffers(ImportedGraph &graph, Recorder &recorder);
  void collectOutputs(const c10::IValue &value, const std::string &name, ImportedGraph &graph,
                      Recorder &recorder);
  void fault(const std::string &message) { result.faults.push_back({message, std::nullopt}); }

  const Request &request;
  ImportedGraph &result;
  Archive archive;
  std::vector<Attribute> attributes;
  std::vector<const RequestedInput *> inputs;
  std::set<std::string> writtenBuffers;
};

void Importer::run() {
  torch::jit::Module &module = archive.module();
  if (!module.find_method("forward")) {
    fault("'" + request.path + "' has no method 'forward'");
    return;
  }
  std::vector<std::string> names;
  for (const c10::Argument &argument :
       module.get_method("forward").function().getSchema().arguments())
    names.push_back(argument.name());
  names.erase(names.begin()); // self
  inputs = matchInputs(names);
  if (!result.faults.empty())
    return;
  std::set<const void *> visited;
  collectAttributes(module._ivalue(), "", visited, attributes);
  std::vector<TensorType> traced = archive.tracedInputs();
  // Each round adds a written buffer, so this ends.
  while (true) {
    ImportedGraph graph;
    size_t before = writtenBuffers.size();
    evaluate(graph);
    if (writtenBuffers.size() == before) {
      result = std::move(graph);
      break;
    }
  }
  adviseOnSizes(traced);
}

/// A trace has some sizes of its example inputs as literals.
void Importer::adviseOnSizes(const std::vector<TensorType> &traced) {
  std::string example;
  for (size_t i = 0; i < inputs.size() && i < traced.size(); ++i)
    if (inputs[i]->type.shape != traced[i].shape)
      example += " --input " + describe(inputs[i]->name, traced[i]);
  if (!result.faults.empty() && !example.empty())
    fault("the model was traced with" + example +
          "; where its code has such a size as a literal, other sizes do not fit: export it again "
          "with the sizes "
          "you plan for");
}

std::vector<const RequestedInput *> Importer::matchInputs(const std::vector<std::string> &names) {
  std::vector<TensorType> traced = archive.tracedInputs();
  bool known = traced.size() == names.size();
  std::string expected;
  for (size_t i = 0; i < names.size(); ++i)
    expected += " --input " + (known ? describe(names[i], traced[i]) : names[i] + "=DTYPE[AxBxC]");
  std::vector<const RequestedInput *> matched;
  for (size_t i = 0; i < names.size(); ++i) {
    auto found = std::find_if(request.inputs.begin(), request.inputs.end(),
                              [&](const RequestedInput &input) { return input.name == names[i]; });
    if (found == request.inputs.end()) {
      fault("input '" + names[i] + "' of the model has no --input; the model " +
            (known ? "was traced with" : "takes") + expected);
      continue;
    }
    matched.push_back(&*found);
    if (known)
      checkTraced(*found, traced[i]);
  }
  for (const RequestedInput &input : request.inputs)
    if (std::find(names.begin(), names.end(), input.name) == names.end())
      fault("the model has no input '" + input.name + "'; it " +
            (known ? "was traced with" : "takes") + expected);
  return matched;
}

void Importer::checkTraced(const RequestedInput &input, const TensorType &traced) {
  if (traced.elementType != input.type.elementType)
    fault("input '" + input.name + "' is " + input.type.elementType +
          ", but the model was traced with " + describe(input.name, traced));
  if (traced.shape.size() != input.type.shape.size())
    fault("input '" + input.name + "' has " + std::to_string(input.type.shape.size()) +
          " dimensions, but the model was traced with " + describe(input.name, traced));
}

bool Importer::isConstant(const Attribute &attribute) const {
  return !attribute.trained && !attribute.owner->type()->is_parameter(attribute.slot) &&
         !writtenBuffers.contains(attribute.name) &&
         static_cast<int64_t>(attribute.tensor.nbytes()) <= request.foldCap &&
         (attribute.tensor.numel() == 0 || archive.offsetOf(attribute.tensor).has_value());
}

void Importer::bindAttributes(ImportedGraph &graph, Recorder &recorder, TensorOps &ops) {
  // Two names of one tensor: the same storage, place, sizes and strides; or, without data, the same
  // object.
  using Key = std::tuple<const void *, int64_t, std::vector<int64_t>, std::vector<int64_t>>;
  std::map<Key, std::pair<size_t, at::Tensor>> known;
  for (const Attribute &attribute : attributes) {
    const at::Tensor &tensor = attribute.tensor;
    if (isConstant(attribute)) {
      at::Tensor value = archive.read(tensor);
      ops.watchBuffer(value, attribute.name);
      attribute.owner->setSlot(attribute.slot, value);
      continue;
    }
    Key key{tensor.storage().unsafeGetStorageImpl(), tensor.storage_offset(), tensor.sizes().vec(),
            tensor.strides().vec()};
    auto [entry, isNew] = known.try_emplace(key, graph.arguments.size(), toMeta(tensor));
    attribute.owner->setSlot(attribute.slot, entry->second.second);
    if (!isNew) {
      graph.arguments[entry->second.first].aliases.push_back(attribute.name);
      continue;
    }
    Argument argument;
    argument.kind = attribute.trained ? Argument::Kind::parameter : Argument::Kind::buffer;
    argument.name = attribute.name;
    argument.value = recorder.define(entry->second.second);
    if (std::optional<int64_t> offset = archive.offsetOf(tensor))
      argument.storage = {*offset, tensor.strides().vec()};
    graph.arguments.push_back(std::move(argument));
  }
}

/// Buffers that the program wrote to: their last value is a result.
void Importer::bindBuffers(ImportedGraph &graph, Recorder &recorder) {
  for (const Attribute &attribute : attributes)
    for (Argument &argument : graph.arguments)
      if (argument.name == attribute.name && writtenBuffers.contains(attribute.name))
        if (const c10::IValue &last = attribute.owner->getSlot(attribute.slot);
            last.isTensor() && last.toTensor().defined())
          argument.newValue = recorder.refer(last.toTensor());
}

void Importer::collectOutputs(const c10::IValue &value, const std::string &name,
                              ImportedGraph &graph, Recorder &recorder) {
  auto inner = [&](const std::string &suffix) {
    return name.empty() ? suffix : name + "." + suffix;
  };
  if (value.isTensor() && value.toTensor().defined()) {
    graph.outputs.push_back({name, recorder.refer(value.toTensor())});
  } else if (value.isTuple()) {
    for (size_t i = 0; i < value.toTupleRef().elements().size(); ++i)
      collectOutputs(value.toTupleRef().elements()[i], inner(std::to_string(i)), graph, recorder);
  } else if (value.isList()) {
    for (size_t i = 0; i < value.toListRef().size(); ++i)
      collectOutputs(value.toListRef()[i], inner(std::to_string(i)), graph, recorder);
  } else if (value.isGenericDict()) {
    for (const auto &entry : value.toGenericDict())
      collectOutputs(entry.value(),
                     inner(entry.key().isString() ? entry.key().toStringRef() : "item"), graph,
                     recorder);
  }
}

void Importer::evaluate(ImportedGraph &graph) {
  torch::jit::Module &module = archive.module();
  Recorder recorder(graph);
  TensorOps ops(graph, recorder, request.foldCap);
  Evaluator evaluator(graph, recorder, ops);
  evaluator.nameModules(module._ivalue(), "");
  if (module.hasattr("training") && module.attr("training").isBool())
    graph.training = module.attr("training").toBool();
  bindAttributes(graph, recorder, ops);

  Values arguments{module._ivalue()};
  for (const RequestedInput *input : inputs) {
    std::optional<at::ScalarType> type = scalarType(input->type.elementType);
    at::Tensor tensor =
        at::empty(input->type.shape, at::TensorOptions(type.value()).device(at::kMeta));
    Argument argument;
    argument.kind = Argument::Kind::input;
    argument.name = input->name;
    argument.value = recorder.define(tensor);
    argument.batchDimension = input->batchDimension;
    argument.sequenceDimension = input->sequenceDimension;
    graph.arguments.push_back(std::move(argument));
    arguments.push_back(tensor);
  }
  c10::IValue value =
      evaluator.call(module.get_method("forward").function(), std::move(arguments), "");
  writtenBuffers.insert(ops.writtenBuffers().begin(), ops.writtenBuffers().end());
  bindBuffers(graph, recorder);
  collectOutputs(value, "", graph, recorder);
}

/// While it lives, LibTorch computes on the calling thread alone: what is folded must not depend on
/// the cores of the machine. Nor on luck, as it would: MKL chooses the code of a function of
/// vectors when it is first called, and a thread that comes while another does so may compute its
/// part of the tensor with the fastest code, of half the digits (oneMKL 2024.2,
/// pytorch/pytorch#188792).
class OneThread {
public:
  OneThread() : before(at::get_num_threads()) { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before); }
  OneThread(const OneThread &) = delete;
  OneThread &operator=(const OneThread &) = delete;

private:
  int before;
};

} // namespace

void deepshard::torchscript::importModel(const Request &request, ImportedGraph &graph) {
  const OneThread oneThread;
  at::NoGradGuard noGrad;
  Importer(request, graph).run();
}
