//===- TensorOps.cpp - runs one op on known and unknown tensors -------------------------------===//

#include "frontends/torchscript/plugin/TensorOps.h"

#include "frontends/torchscript/plugin/ShapeRules.h"

#include <ATen/native/TypeProperties.h>

using namespace deepshard::torchscript;

namespace {

bool isDefinedTensor(const c10::IValue &value) {
  return value.isTensor() && value.toTensor().defined();
}

bool isUnknownTensor(const c10::IValue &value) {
  return isDefinedTensor(value) && value.toTensor().is_meta();
}

template <class Predicate> bool anyOf(const Values &values, Predicate predicate) {
  return std::any_of(values.begin(), values.end(), [&](const c10::IValue &value) {
    if (!value.isList())
      return predicate(value);
    c10::ArrayRef<c10::IValue> elements = value.toListRef();
    return std::any_of(elements.begin(), elements.end(), predicate);
  });
}

/// `value` with `change` applied to its tensors, those in a list included (then the list is a new
/// one).
template <class Change> c10::IValue mapTensors(const c10::IValue &value, Change change) {
  if (isDefinedTensor(value))
    return change(value.toTensor());
  if (!value.isList() || !anyOf({value}, isDefinedTensor))
    return value;
  c10::List<c10::IValue> old = value.toList();
  c10::impl::GenericList list(old.elementType());
  for (const c10::IValue &element : value.toListRef())
    list.push_back(isDefinedTensor(element) ? c10::IValue(change(element.toTensor())) : element);
  return list;
}

/// The index of the one argument that the op writes to, if it writes to one.
std::optional<size_t> writtenArgument(const c10::FunctionSchema &schema) {
  for (size_t i = 0; i < schema.arguments().size(); ++i)
    if (const c10::AliasInfo *alias = schema.arguments()[i].alias_info(); alias && alias->isWrite())
      return i;
  return std::nullopt;
}

/// add_ -> add, __iand__ -> __and__.
std::string functionalName(std::string name) {
  if (name.ends_with("__")) {
    size_t prefix = name.find("::__i");
    return prefix == std::string::npos ? name : name.erase(prefix + 4, 1);
  }
  if (name.ends_with('_'))
    name.pop_back();
  return name;
}

bool returnsTensor(const torch::jit::Node *node) {
  return std::any_of(node->outputs().begin(), node->outputs().end(),
                     [](const torch::jit::Value *output) {
                       return output->type()->isSubtypeOf(*c10::TensorType::get());
                     });
}

bool returnsTensors(const torch::jit::Node *node) {
  return returnsTensor(node) ||
         std::any_of(node->outputs().begin(), node->outputs().end(),
                     [](const torch::jit::Value *output) {
                       return output->type()->isSubtypeOf(*c10::ListType::ofTensors());
                     });
}

std::string shapes(const Values &arguments) {
  std::string text;
  auto add = [&](const c10::IValue &value) {
    if (!isDefinedTensor(value))
      return false;
    TensorType type = tensorType(value.toTensor());
    text += text.empty() ? "" : ", ";
    text += type.elementType + "[";
    for (size_t i = 0; i < type.shape.size(); ++i)
      text += (i ? "x" : "") + std::to_string(type.shape[i]);
    text += "]";
    return false;
  };
  anyOf(arguments, add);
  return text;
}

std::string firstLine(std::string_view text) {
  return std::string(text.substr(0, text.find('\n')));
}

} // namespace

bool deepshard::torchscript::isUnknownResult(const c10::IValue &value) {
  return value.isTensor() && !value.toTensor().defined();
}

void TensorOps::watchBuffer(const at::Tensor &tensor, const std::string &name) {
  buffers.emplace_back(tensor, name);
}

void TensorOps::track(const at::Tensor &tensor) {
  if (!tensor.has_storage())
    return;
  auto &list = sharers[tensor.storage().unsafeGetStorageImpl()];
  for (const auto &other : list)
    if (other._unsafe_get_target() == tensor.unsafeGetTensorImpl())
      return;
  std::erase_if(list, [](const auto &other) { return other.expired(); });
  list.emplace_back(tensor.getIntrusivePtr());
}

at::Tensor TensorOps::current(const at::Tensor &tensor) const {
  auto found = replaced.find(tensor.unsafeGetTensorImpl());
  return found == replaced.end() ? tensor : found->second;
}

Values TensorOps::fail(const Call &call, const std::string &message) {
  graph.faults.push_back({message, call.place});
  return Values(call.node->outputs().size(), unknownResult());
}

Values TensorOps::run(const torch::jit::Node *node, Values arguments, const std::string &module) {
  if (anyOf(arguments, isUnknownResult))
    return Values(node->outputs().size(), unknownResult());
  for (c10::IValue &argument : arguments)
    argument = replaced.empty()
                   ? argument
                   : mapTensors(argument, [&](const at::Tensor &t) { return current(t); });
  Call call{node, node->schema(), std::move(arguments), recorder.place(node, module)};
  std::string name = node->kind().toQualString();
  bool unknown = anyOf(call.arguments, isUnknownTensor);
  try {
    noteBufferWrite(call);
    noteInactiveDropout(graph, name, call.arguments, call.place);
    if (unknown && dependsOnShapeOnly(name)) {
      call.arguments[0] = at::zeros({}, call.arguments[0].toTensor().options().device(at::kCPU))
                              .expand(call.arguments[0].toTensor().sizes());
      unknown = false;
    }
    if (!unknown && returnsTensor(node) && (node->isNondeterministic() || exceedsCap(call)))
      unknown = true;
    return unknown ? runUnknown(call) : runKnown(call);
  } catch (const c10::NotImplementedError &) {
    if (!returnsTensors(node))
      return fail(call, name + " needs a value out of the model's data, which is not known when "
                               "the model is planned");
    record(call, functionalName(name), {}, /*unknownShape=*/true);
    return Values(node->outputs().size(), unknownResult());
  } catch (const c10::Error &e) {
    if (unknown && !returnsTensors(node))
      return fail(call, name + " needs a value out of the model's data, which is not known when "
                               "the model is planned");
    return fail(call, name + " on " + shapes(call.arguments) + ": " +
                          firstLine(e.what_without_backtrace()));
  } catch (const std::exception &e) {
    return fail(call, name + " on " + shapes(call.arguments) + ": " + firstLine(e.what()));
  }
}

Values TensorOps::execute(const Call &call, Values arguments, at::Device device) {
  bool noTensors = !anyOf(arguments, isDefinedTensor);
  for (size_t i = 0; i < arguments.size(); ++i)
    if (arguments[i].isDevice() ||
        (noTensors && returnsTensor(call.node) && i < call.schema.arguments().size() &&
         call.schema.arguments()[i].name() == "device"))
      arguments[i] = device;
  if (device.is_meta())
    if (std::optional<Values> results = inferShape(call.node->kind().toQualString(), arguments))
      return *results;
  bool onZeros = device.is_meta() && needsZeros(call.node->kind().toQualString(), arguments);
  if (onZeros) {
    keepOneClass(call.node->kind().toQualString(), arguments);
    for (c10::IValue &argument : arguments)
      argument = mapTensors(argument, [&](const at::Tensor &t) {
        bool divides = std::string_view(call.node->kind().toQualString()) == "aten::floor_divide";
        return at::full({}, divides, t.options().device(at::kCPU))
            .expand(t.sizes()); // one element of memory
      });
  }
  Values stack = std::move(arguments);
  if (call.schema.is_vararg())
    stack.emplace_back(static_cast<int64_t>(stack.size()));
  call.node->getOperation()(stack);
  for (c10::IValue &result : stack)
    if (onZeros)
      result = mapTensors(result, toMeta);
  for (c10::IValue &result : stack)
    if (result.isDevice())
      result = at::Device(at::kCPU); // where the model is traced or planned must make no difference
  return stack;
}

Values TensorOps::runKnown(Call &call) {
  Values results = execute(call, call.arguments, at::kCPU);
  if (std::string_view(call.node->kind().toQualString()).starts_with("aten::empty"))
    results[0].toTensor().zero_(); // what it holds must not differ from import to import
  for (const c10::IValue &result : results)
    if (isDefinedTensor(result))
      track(result.toTensor());
  return results;
}

/// Whether a known op would make a tensor too large to compute at import.
bool TensorOps::exceedsCap(const Call &call) {
  Values arguments = call.arguments;
  for (c10::IValue &argument : arguments)
    argument = mapTensors(argument, toMeta);
  try {
    for (const c10::IValue &result : execute(call, arguments, at::kMeta))
      if (isDefinedTensor(result) &&
          static_cast<int64_t>(result.toTensor().storage().nbytes()) > foldCap)
        return true;
  } catch (const std::exception &) {
    // The shape depends on the values; running the op will tell.
  }
  return false;
}

void TensorOps::noteBufferWrite(const Call &call) {
  std::optional<size_t> index = writtenArgument(call.schema);
  if (!index || !isDefinedTensor(call.arguments[*index]))
    return;
  const at::Tensor &tensor = call.arguments[*index].toTensor();
  for (const auto &[buffer, name] : buffers)
    if (tensor.has_storage() &&
        buffer.storage().unsafeGetStorageImpl() == tensor.storage().unsafeGetStorageImpl())
      written.insert(name);
}

Values TensorOps::runUnknown(Call &call) {
  normalizeIndices(call.node->kind().toQualString(), call.arguments);
  std::optional<size_t> index = writtenArgument(call.schema);
  if (index && (*index != 0 || !isDefinedTensor(call.arguments[0])))
    return fail(call, std::string(call.node->kind().toQualString()) + " writes to argument '" +
                          call.schema.arguments()[*index].name() +
                          "'; only writing to the first one is supported");
  if (index && !checkAliases(call, call.arguments[0].toTensor()))
    return Values(call.node->outputs().size(), unknownResult());

  Values metaArguments = call.arguments;
  for (c10::IValue &argument : metaArguments)
    argument =
        mapTensors(argument, [](const at::Tensor &t) { return t.is_meta() ? t : toMeta(t); });
  Values results = execute(call, metaArguments, at::kMeta);
  if (index)
    return rebind(call, metaArguments[0].toTensor(), results);

  std::vector<TensorRef> refs;
  bool allKnown = true;
  for (const c10::IValue &result : results)
    anyOf({result}, [&](const c10::IValue &value) {
      if (isDefinedTensor(value)) {
        std::optional<TensorRef> known = recorder.find(value.toTensor());
        allKnown &= known.has_value();
        refs.push_back(known.value_or(TensorRef()));
      }
      return false;
    });
  if (allKnown)
    return results; // no tensors, or the op changed nothing and returned its argument
  // The arguments' indices come before the results'.
  size_t next = 0;
  record(call, call.node->kind().toQualString(), {});
  std::vector<TensorRef> &defined = graph.nodes.back().results;
  for (const c10::IValue &result : results)
    anyOf({result}, [&](const c10::IValue &value) {
      if (isDefinedTensor(value)) {
        defined.push_back(refs[next].id == TensorRef::kNone ? recorder.define(value.toTensor())
                                                            : refs[next]);
        ++next;
        track(value.toTensor());
      }
      return false;
    });
  return results;
}

/// After an in-place op: the tensor written to gets a new index.
Values TensorOps::rebind(Call &call, const at::Tensor &newSelf, const Values &results) {
  at::Tensor oldSelf = call.arguments[0].toTensor();
  record(call, functionalName(call.node->kind().toQualString()), {});
  graph.nodes.back().results.push_back(recorder.define(newSelf));
  track(newSelf);
  if (oldSelf.unsafeGetTensorImpl() != newSelf.unsafeGetTensorImpl())
    replaced[oldSelf.unsafeGetTensorImpl()] = newSelf;
  return Values(results.size(), newSelf);
}

/// An in-place op is functional only if nobody else sees the tensor's storage.
bool TensorOps::checkAliases(const Call &call, const at::Tensor &tensor) {
  auto found = sharers.find(tensor.storage().unsafeGetStorageImpl());
  if (found == sharers.end())
    return true;
  for (const auto &other : found->second)
    if (!other.expired() && other._unsafe_get_target() != tensor.unsafeGetTensorImpl()) {
      fail(
          call,
          std::string(call.node->kind().toQualString()) +
              " writes to a view of a tensor that is used again; write it without the in-place op, "
              "for example with torch.where, torch.cat or a new tensor");
      return false;
    }
  return true;
}

void TensorOps::record(const Call &call, std::string name, std::vector<TensorRef> results,
                       bool unknownShape) {
  AtenNode node{
      std::move(name), call.schema.overload_name(), {}, std::move(results), {}, unknownShape,
      call.place};
  at::native::ResultTypeState type;
  bool promotes = false;
  for (size_t i = 0; i < call.arguments.size(); ++i) {
    const c10::IValue &argument = call.arguments[i];
    std::string argumentName =
        i < call.schema.arguments().size() ? call.schema.arguments()[i].name() : "";
    node.arguments.emplace_back(argumentName,
                                unknownShape ? Literal() : recorder.literal(argument));
    if (argumentName != "self" && argumentName != "other")
      continue;
    if (isDefinedTensor(argument))
      type = at::native::update_result_type_state(argument.toTensor(), type);
    else if (argument.isScalar())
      type = at::native::update_result_type_state(argument.toScalar(), type);
    else
      continue;
    promotes = true;
  }
  if (promotes)
    node.operandType = elementTypeName(at::native::result_type(type));
  graph.nodes.push_back(std::move(node));
}
