//===- Translate.cpp - from aten ops to the graph dialect -------------------------------------===//

#include "frontends/torchscript/Translate.h"

#include "dialects/graph/HostTensor.h"
#include "frontends/torchscript/convert/AtenOp.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/BitVector.h"
#include "llvm/ADT/MapVector.h"

#include <cstring>
#include <fstream>

using namespace mlir;
using namespace deepshard;
using namespace deepshard::torchscript;

namespace {

const ConverterTable &converters() {
  static const ConverterTable table = [] {
    ConverterTable all;
    addElementwise(all);
    addActivations(all);
    addLinearAlgebra(all);
    addConvolution(all);
    addLayout(all);
    addShuffles(all);
    addReductions(all);
    addNormalization(all);
    addLosses(all);
    addAttention(all);
    addIndexing(all);
    return all;
  }();
  return table;
}

template <class Function> void forEachTensor(const AtenNode &node, Function function) {
  for (const auto &[name, literal] : node.arguments) {
    if (const auto *ref = std::get_if<TensorRef>(&literal))
      function(*ref);
    else if (const auto *list = std::get_if<std::vector<TensorRef>>(&literal))
      for (TensorRef ref : *list)
        if (ref.id != TensorRef::kNone)
          function(ref);
  }
}

class Translator : public TranslationState {
public:
  Translator(MLIRContext &context, const ImportedGraph &graph, StringRef path, bool f64)
      : context(&context), graph(graph), path(path), f64(f64), builder(&context),
        values(graph.values.size()), live(graph.values.size()), trained(graph.values.size()) {}

  FailureOr<OwningOpRef<ModuleOp>> run();

  Type elementType(StringRef name) const override {
    Type type = parseElementType(context, name);
    return f64 && isa_and_nonnull<FloatType>(type) ? Float64Type::get(context) : type;
  }
  Value valueOf(TensorRef ref) override;
  Value randomCounter() override;
  int64_t nextRandomId() override { return randomIds++; }
  std::optional<bool> isZeroRow(TensorRef table, int64_t row) override;

private:
  void markLive();
  void markTrained();
  LogicalResult checkSupported();
  LogicalResult checkTypes();
  const char *whyUnsupported(const AtenNode &node) const;
  void createFunction(ModuleOp module);
  void addArgument(const Argument &argument);
  DictionaryAttr argumentAttributes(const Argument &argument);
  LogicalResult translateNode(const AtenNode &node);
  LogicalResult translateNodes();
  void createReturn();
  std::string outputName(const Output &output, unsigned scalars) const;
  bool isLive(const AtenNode &node) const {
    return node.unknownShape ||
           llvm::any_of(node.results, [&](TensorRef ref) { return live[ref.id]; });
  }
  bool isScalarFloat(TensorRef ref) const {
    const torchscript::TensorType &type = graph.values[ref.id];
    return type.shape.empty() &&
           isa_and_nonnull<FloatType>(parseElementType(context, type.elementType));
  }

  MLIRContext *context;
  const ImportedGraph &graph;
  StringRef path;
  bool f64;
  OpBuilder builder;
  func::FuncOp function;
  std::vector<Value> values;
  llvm::BitVector live;
  /// Values through which a gradient flows to a parameter.
  llvm::BitVector trained;
  Value counter;
  int64_t randomIds = 0;
};

void Translator::markLive() {
  // What depends on a faulty op is missing, so whether an op reaches an output is not known: all of
  // them are reported.
  if (!graph.faults.empty() ||
      llvm::any_of(graph.nodes, [](const AtenNode &node) { return node.unknownShape; }))
    live.set();
  for (const Output &output : graph.outputs)
    live.set(output.value.id);
  for (const Argument &argument : graph.arguments)
    if (argument.newValue.id != TensorRef::kNone)
      live.set(argument.newValue.id);
  for (const AtenNode &node : llvm::reverse(graph.nodes))
    if (isLive(node))
      forEachTensor(node, [&](TensorRef ref) { live.set(ref.id); });
}

void Translator::markTrained() {
  for (const Argument &argument : graph.arguments)
    if (argument.kind == Argument::Kind::parameter)
      trained.set(argument.value.id);
  for (const AtenNode &node : graph.nodes) {
    bool any = false;
    forEachTensor(node, [&](TensorRef ref) { any |= trained[ref.id]; });
    for (TensorRef result : node.results)
      if (any && isa_and_nonnull<FloatType>(
                     parseElementType(context, graph.values[result.id].elementType)))
        trained.set(result.id);
  }
}

/// Null if there is a converter for the op.
const char *Translator::whyUnsupported(const AtenNode &node) const {
  if (node.unknownShape && converters().contains(node.name))
    return "is not supported: LibTorch does not tell the shape of its result";
  if (!converters().contains(node.name))
    return "is not supported";
  if (node.name != "aten::detach")
    return nullptr;
  bool stops = false;
  forEachTensor(node, [&](TensorRef ref) { stops |= trained[ref.id]; });
  return stops ? "is not supported on a value that depends on parameters: it would have to stop "
                 "the gradient"
               : nullptr;
}

LogicalResult Translator::checkSupported() {
  struct Uses {
    const AtenNode *first;
    unsigned count = 0;
  };
  llvm::MapVector<std::pair<StringRef, const char *>, Uses> missing;
  for (const AtenNode &node : graph.nodes)
    if (const char *why = isLive(node) ? whyUnsupported(node) : nullptr)
      ++missing.insert({{node.name, why}, {&node, 0}}).first->second.count;
  for (const auto &[key, uses] : missing) {
    auto diagnostic = emitError(locationOf(context, uses.first->place))
                      << key.first << " " << key.second;
    diagnostic << " (" << uses.count << (uses.count == 1 ? " use" : " uses, the first is here")
               << ")";
  }
  return success(missing.empty());
}

LogicalResult Translator::checkTypes() {
  bool good = true;
  for (const AtenNode &node : graph.nodes)
    if (isLive(node))
      for (TensorRef result : node.results)
        if (const std::string &type = graph.values[result.id].elementType;
            !parseElementType(context, type)) {
          emitError(locationOf(context, node.place))
              << node.name << " gives elements of type " << type
              << "; supported are f32, bf16, f16, f64, i64, i32, i8, i1";
          good = false;
        }
  for (const Argument &argument : graph.arguments)
    if (const std::string &type = graph.values[argument.value.id].elementType;
        !parseElementType(context, type)) {
      emitError(UnknownLoc::get(context))
          << "'" << argument.name << "' has elements of type " << type
          << "; supported are f32, bf16, f16, f64, i64, i32, i8, i1";
      good = false;
    }
  return success(good);
}

DictionaryAttr Translator::argumentAttributes(const Argument &argument) {
  NamedAttrList attributes;
  StringRef kind = argument.kind == Argument::Kind::parameter ? graph::kParameterAttr
                   : argument.kind == Argument::Kind::buffer  ? graph::kBufferAttr
                                                              : graph::kInputAttr;
  attributes.set(kind, builder.getStringAttr(argument.name));
  if (argument.storage)
    attributes.set(graph::kStorageAttr,
                   graph::StorageAttr::get(
                       context, builder.getStringAttr(path), argument.storage->offset,
                       parseElementType(context, graph.values[argument.value.id].elementType),
                       builder.getDenseI64ArrayAttr(argument.storage->strides)));
  if (!argument.aliases.empty()) {
    SmallVector<StringRef> names(argument.aliases.begin(), argument.aliases.end());
    attributes.set(graph::kAliasesAttr, builder.getStrArrayAttr(names));
  }
  if (argument.batchDimension)
    attributes.set(graph::kBatchDimensionAttr, builder.getI64IntegerAttr(*argument.batchDimension));
  if (argument.sequenceDimension)
    attributes.set(graph::kSequenceDimensionAttr,
                   builder.getI64IntegerAttr(*argument.sequenceDimension));
  if (argument.newValue.id != TensorRef::kNone)
    attributes.set(graph::kStateAttr, builder.getStringAttr(argument.name));
  return attributes.getDictionary(context);
}

void Translator::addArgument(const Argument &argument) {
  const torchscript::TensorType &type = graph.values[argument.value.id];
  auto tensorType = RankedTensorType::get(type.shape, elementType(type.elementType));
  Location location = NameLoc::get(builder.getStringAttr(argument.name));
  (void)function.insertArgument(function.getNumArguments(), tensorType,
                                argumentAttributes(argument), location);
  values[argument.value.id] = function.getArguments().back();
}

void Translator::createFunction(ModuleOp module) {
  builder.setInsertionPointToEnd(module.getBody());
  function = func::FuncOp::create(builder, builder.getUnknownLoc(), "forward",
                                  builder.getFunctionType({}, {}));
  function.addEntryBlock();
  for (Argument::Kind kind :
       {Argument::Kind::parameter, Argument::Kind::buffer, Argument::Kind::input})
    for (const Argument &argument : graph.arguments)
      if (argument.kind == kind && (kind != Argument::Kind::buffer || live[argument.value.id] ||
                                    argument.newValue.id != TensorRef::kNone))
        addArgument(argument);
  builder.setInsertionPointToEnd(&function.front());
}

Value Translator::randomCounter() {
  if (counter)
    return counter;
  auto type = RankedTensorType::get({3}, builder.getI64Type());
  NamedAttrList attributes;
  attributes.set(graph::kRunStateAttr, builder.getStringAttr(graph::kRandomCounter));
  (void)function.insertArgument(function.getNumArguments(), type, attributes.getDictionary(context),
                                NameLoc::get(builder.getStringAttr("counter")));
  return counter = function.getArguments().back();
}

Value Translator::valueOf(TensorRef ref) {
  Value &value = values[ref.id];
  if (value)
    return value;
  // Constants are built where they are first used.
  auto constant =
      llvm::find_if(graph.constants, [&](const Constant &c) { return c.value.id == ref.id; });
  assert(constant != graph.constants.end() && "a value is used before it is defined");
  const torchscript::TensorType &type = graph.values[ref.id];
  graph::HostTensor tensor(
      RankedTensorType::get(type.shape, parseElementType(context, type.elementType)));
  std::memcpy(tensor.data(), constant->bytes.data(),
              std::min(tensor.size(), constant->bytes.size()));
  auto elements = graph::toElements(tensor);
  value = graph::ConstantOp::create(builder, builder.getUnknownLoc(), tensor.getType(), elements);
  if (Type wanted = elementType(type.elementType); wanted != tensor.getType().getElementType())
    value = graph::PrimitiveBuilder(builder, builder.getUnknownLoc()).convert(value, wanted);
  return value;
}

std::optional<bool> Translator::isZeroRow(TensorRef table, int64_t row) {
  for (const Argument &argument : graph.arguments) {
    if (argument.value.id != table.id || !argument.storage)
      continue;
    const torchscript::TensorType &type = graph.values[table.id];
    if (argument.storage->strides.back() != 1 || row >= type.shape[0])
      return false;
    int64_t bytes = parseElementType(context, type.elementType).getIntOrFloatBitWidth() / 8;
    std::vector<char> data(type.shape.back() * bytes);
    std::ifstream file(path.str(), std::ios::binary);
    file.seekg(argument.storage->offset + row * argument.storage->strides[0] * bytes);
    file.read(data.data(), data.size());
    return file && llvm::all_of(data, [](char byte) { return byte == 0; });
  }
  return std::nullopt;
}

LogicalResult Translator::translateNode(const AtenNode &node) {
  Location location = locationOf(context, node.place);
  AtenOp op(graph, node, builder, location, *this);
  if (failed(converters().lookup(node.name)(op)))
    return emitError(location) << node.name << " is not supported with " << op.reason();
  for (auto [i, value] : llvm::enumerate(op.values())) {
    assert(value.getType() == op.resultType(i) &&
           "the converter disagrees with PyTorch about the shape");
    values[node.results[i].id] = value;
  }
  return success();
}

/// Translates what can be translated, so that all faults are reported.
LogicalResult Translator::translateNodes() {
  bool good = true;
  llvm::BitVector missing(graph.values.size());
  for (const AtenNode &node : graph.nodes) {
    if (!isLive(node))
      continue;
    bool blocked = false;
    forEachTensor(node, [&](TensorRef ref) { blocked |= missing[ref.id]; });
    if (!blocked && succeeded(translateNode(node)))
      continue;
    good = false;
    for (TensorRef ref : node.results)
      missing.set(ref.id);
  }
  return success(good);
}

std::string Translator::outputName(const Output &output, unsigned scalars) const {
  bool numbered = output.name.empty() || std::isdigit(static_cast<unsigned char>(output.name[0]));
  if (!numbered)
    return output.name;
  if (scalars == 1 && isScalarFloat(output.value))
    return "loss";
  return output.name.empty() ? "output" : "output_" + output.name;
}

void Translator::createReturn() {
  SmallVector<Value> results;
  SmallVector<DictionaryAttr> attributes;
  unsigned scalars = llvm::count_if(
      graph.outputs, [&](const Output &output) { return isScalarFloat(output.value); });
  for (const Output &output : graph.outputs) {
    results.push_back(valueOf(output.value));
    attributes.push_back(builder.getDictionaryAttr(builder.getNamedAttr(
        graph::kOutputAttr, builder.getStringAttr(outputName(output, scalars)))));
  }
  for (const Argument &argument : graph.arguments)
    if (argument.newValue.id != TensorRef::kNone) {
      results.push_back(valueOf(argument.newValue));
      attributes.push_back(builder.getDictionaryAttr(
          builder.getNamedAttr(graph::kStateAttr, builder.getStringAttr(argument.name))));
    }
  func::ReturnOp::create(builder, builder.getUnknownLoc(), results);
  SmallVector<Type> types =
      llvm::map_to_vector(results, [](Value value) { return value.getType(); });
  function.setFunctionType(builder.getFunctionType(function.getArgumentTypes(), types));
  for (auto [i, dictionary] : llvm::enumerate(attributes))
    function.setResultAttrs(i, dictionary);
}

FailureOr<OwningOpRef<ModuleOp>> Translator::run() {
  markLive();
  markTrained();
  if (failed(checkSupported()) || failed(checkTypes()))
    return failure();
  OwningOpRef<ModuleOp> module = ModuleOp::create(builder.getUnknownLoc());
  createFunction(*module);
  if (failed(translateNodes()))
    return failure();
  createReturn();
  return module;
}

} // namespace

Location torchscript::locationOf(MLIRContext *context, const Place &place) {
  Location location = UnknownLoc::get(context);
  if (!place.file.empty())
    location = FileLineColLoc::get(context, place.file, place.line, 0);
  return place.module.empty()
             ? location
             : Location(NameLoc::get(StringAttr::get(context, place.module), location));
}

FailureOr<OwningOpRef<ModuleOp>>
torchscript::translate(MLIRContext &context, const ImportedGraph &graph, StringRef path, bool f64) {
  return Translator(context, graph, path, f64).run();
}
