//===- Evaluator.cpp - partial evaluation of a TorchScript program ----------------------------===//

#include "frontends/torchscript/plugin/Evaluator.h"

using namespace deepshard::torchscript;
using torch::jit::Block;
using torch::jit::Node;
using torch::jit::Value;
namespace prim = c10::prim;

namespace {

/// More iterations of one loop mean that its condition never becomes false.
constexpr int64_t kMaxIterations = 1'000'000;

/// Values that `node` and the blocks inside it use.
void collectUses(const Node *node, std::vector<const Value *> &uses) {
  uses.insert(uses.end(), node->inputs().begin(), node->inputs().end());
  for (const Block *block : node->blocks()) {
    for (const Node *inner : block->nodes())
      collectUses(inner, uses);
    uses.insert(uses.end(), block->outputs().begin(), block->outputs().end());
  }
}

c10::IValue makeList(const Node *node, Values elements) {
  c10::TypePtr type = node->output()->type()->expectRef<c10::ListType>().getElementType();
  c10::impl::GenericList list(type);
  for (c10::IValue &element : elements)
    list.push_back(std::move(element));
  return list;
}

c10::IValue makeDict(const Node *node, const Values &elements) {
  auto type = node->output()->type()->expect<c10::DictType>();
  c10::impl::GenericDict dict(type->getKeyType(), type->getValueType());
  for (size_t i = 0; i + 1 < elements.size(); i += 2)
    dict.insert_or_assign(elements[i], elements[i + 1]);
  return dict;
}

bool isInstance(const Node *node, const c10::IValue &value) {
  const std::vector<c10::TypePtr> &types = node->tys(c10::attr::types);
  return std::any_of(types.begin(), types.end(),
                     [&](const c10::TypePtr &type) { return value.type()->isSubtypeOf(*type); });
}

} // namespace

void Evaluator::nameModules(const c10::intrusive_ptr<c10::ivalue::Object> &object,
                            const std::string &path) {
  if (!modulePaths.emplace(object.get(), path).second)
    return;
  auto type = object->type();
  for (size_t i = 0; i < type->numAttributes(); ++i)
    if (object->getSlot(i).isModule())
      nameModules(object->getSlot(i).toObject(),
                  (path.empty() ? "" : path + ".") + type->getAttributeName(i));
}

Values Evaluator::fail(const Node *node, const Frame &frame, const std::string &message) {
  graph.faults.push_back({message, recorder.place(node, frame.module)});
  return Values(node->outputs().size(), unknownResult());
}

void Evaluator::findLastUses(const Block *block) {
  if (!analysed.insert(block).second)
    return;
  std::set<const Value *> seen(block->outputs().begin(), block->outputs().end());
  for (const Node *node : block->nodes().reverse()) {
    std::vector<const Value *> uses(node->outputs().begin(), node->outputs().end());
    collectUses(node, uses);
    for (const Value *value : uses)
      if (value->node()->owningBlock() == block && seen.insert(value).second)
        lastUses[node].push_back(value);
  }
}

c10::IValue Evaluator::call(torch::jit::Function &function, Values arguments,
                            const std::string &module) {
  torch::jit::GraphFunction &body = torch::jit::toGraphFunction(function);
  body.ensure_defined();
  const Block *block = body.graph()->block();
  Frame frame{{}, module};
  for (size_t i = 0; i < arguments.size(); ++i)
    frame.values[block->inputs()[i]] = std::move(arguments[i]);
  arguments.clear(); // the frame alone decides how long a value lives
  return runBlock(block, frame).at(0);
}

Values Evaluator::runBlock(const Block *block, Frame &frame) {
  findLastUses(block);
  for (const Node *node : block->nodes())
    runNode(node, frame);
  Values results;
  for (const Value *output : block->outputs())
    results.push_back(frame.values.at(output));
  return results;
}

void Evaluator::runNode(const Node *node, Frame &frame) {
  Values arguments;
  for (const Value *input : node->inputs())
    arguments.push_back(node->kind() == prim::CallFunction && input == node->inputs()[0]
                            ? c10::IValue()
                            : frame.values.at(input));
  // What this node is the last to use lives in `arguments` only.
  auto dropped = lastUses.find(node);
  if (dropped != lastUses.end() && node->blocks().empty())
    for (const Value *value : dropped->second)
      frame.values.erase(value);
  Values results = node->maybeOperator() ? ops.run(node, std::move(arguments), frame.module)
                                         : runPrimitive(node, std::move(arguments), frame);
  for (size_t i = 0; i < node->outputs().size(); ++i)
    if (node->outputs()[i]->hasUses())
      frame.values[node->outputs()[i]] = std::move(results.at(i));
  if (dropped != lastUses.end() && !node->blocks().empty())
    for (const Value *value : dropped->second)
      frame.values.erase(value);
}

Values Evaluator::runPrimitive(const Node *node, Values arguments, Frame &frame) {
  switch (static_cast<c10::unique_t>(node->kind())) {
  case prim::Constant: {
    if (node->output()->type()->kind() == c10::TypeKind::FunctionType)
      return {c10::IValue()};
    return {torch::jit::toIValue(node->output()).value_or(c10::IValue())};
  }
  case prim::GetAttr:
    return {arguments[0].toObjectRef().getAttr(node->s(c10::attr::name))};
  case prim::SetAttr:
    setAttribute(node, arguments);
    return {};
  case prim::CallMethod:
    return runCallMethod(node, std::move(arguments));
  case prim::CallFunction: {
    torch::jit::Function *function =
        node->inputs()[0]->type()->expectRef<c10::FunctionType>().function();
    arguments.erase(arguments.begin());
    return {call(*function, std::move(arguments), frame.module)};
  }
  case prim::If:
    return runIf(node, arguments[0], frame);
  case prim::Loop:
    return runLoop(node, std::move(arguments), frame);
  case prim::TupleUnpack:
  case prim::ListUnpack:
    return unpack(node, arguments[0], frame);
  case prim::unchecked_cast:
  case prim::annotate:
    return arguments;
  case prim::Uninitialized:
    return {c10::IValue()};
  case prim::isinstance:
    return {isInstance(node, arguments[0])};
  case prim::RaiseException:
    return fail(node, frame,
                "the model raises: " +
                    (arguments[0].isString() ? arguments[0].toStringRef() : "an exception"));
  default:
    return construct(node, std::move(arguments), frame);
  }
}

Values Evaluator::construct(const Node *node, Values arguments, const Frame &frame) {
  switch (static_cast<c10::unique_t>(node->kind())) {
  case prim::ListConstruct:
    return {makeList(node, std::move(arguments))};
  case prim::TupleConstruct:
    return {c10::ivalue::Tuple::create(std::move(arguments))};
  case prim::DictConstruct:
    return {makeDict(node, arguments)};
  case prim::TupleIndex: {
    const auto &elements = arguments[0].toTupleRef().elements();
    int64_t index = arguments[1].toInt();
    return {elements.at(index < 0 ? index + elements.size() : index)};
  }
  default:
    return fail(node, frame, std::string(node->kind().toQualString()) + " is not supported");
  }
}

Values Evaluator::unpack(const Node *node, const c10::IValue &sequence, const Frame &frame) {
  if (isUnknownResult(sequence))
    return Values(node->outputs().size(), unknownResult());
  Values elements = sequence.isTuple() ? Values(sequence.toTupleRef().elements().vec())
                                       : sequence.toListRef().vec();
  if (elements.size() != node->outputs().size())
    return fail(
        node, frame,
        "the traced program expects " + std::to_string(node->outputs().size()) +
            " tensors here and got " + std::to_string(elements.size()) +
            "; the trace has this number baked in: trace with inputs of the shapes you plan for");
  return elements;
}

Values Evaluator::runCallMethod(const Node *node, Values arguments) {
  const c10::IValue self = arguments[0];
  auto path = modulePaths.find(self.toObject().get());
  torch::jit::Function &method = self.toObject()->type()->getMethod(node->s(c10::attr::name));
  return {call(method, std::move(arguments), path == modulePaths.end() ? "" : path->second)};
}

Values Evaluator::runIf(const Node *node, const c10::IValue &condition, Frame &frame) {
  // An unknown condition was reported where it was computed.
  if (isUnknownResult(condition))
    return Values(node->outputs().size(), unknownResult());
  return runBlock(node->blocks()[condition.toBool() ? 0 : 1], frame);
}

Values Evaluator::runLoop(const Node *node, Values arguments, Frame &frame) {
  Values carried(arguments.begin() + 2, arguments.end());
  c10::IValue condition = arguments[1];
  if (isUnknownResult(arguments[0]) || isUnknownResult(condition))
    return Values(node->outputs().size(), unknownResult());
  int64_t count = arguments[0].toInt();
  arguments.clear();
  const Block *body = node->blocks()[0];
  for (int64_t i = 0; i < count && condition.toBool(); ++i) {
    if (i == kMaxIterations)
      return fail(node, frame,
                  "a loop runs more than " + std::to_string(kMaxIterations) + " times");
    frame.values[body->inputs()[0]] = i;
    for (size_t k = 0; k < carried.size(); ++k)
      frame.values[body->inputs()[k + 1]] = std::move(carried[k]);
    Values results = runBlock(body, frame);
    condition = results[0];
    carried.assign(results.begin() + 1, results.end());
    if (isUnknownResult(condition))
      return Values(node->outputs().size(), unknownResult());
  }
  return carried;
}

void Evaluator::setAttribute(const Node *node, const Values &arguments) {
  auto object = arguments[0].toObject();
  const std::string &name = node->s(c10::attr::name);
  auto path = modulePaths.find(object.get());
  if (path != modulePaths.end())
    ops.markWritten((path->second.empty() ? "" : path->second + ".") + name);
  object->setAttr(name, arguments[1]);
}
