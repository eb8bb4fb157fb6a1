//===- Attributes.cpp - checks of the discardable attributes ----------------------------------===//
//
// GraphDialect.td documents them. One table per place (op, argument, result): a name and its check.
//
//===------------------------------------------------------------------------------------------===//

#include "dialects/graph/Graph.h"
#include "dialects/graph/Inference.h"
#include "dialects/graph/KernelAttrs.h"

#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;

namespace deepshard::graph {

DictionaryAttr inherentAttributes(Operation *op) {
  NamedAttrList attributes;
  op->getName().populateInherentAttrs(op, attributes);
  attributes.erase("operandSegmentSizes");
  return attributes.getDictionary(op->getContext());
}

namespace {

/// What an attribute is attached to: an op, or a function's argument or result of type `type`.
struct Place {
  Operation *op;
  unsigned index = 0;
  Type type = nullptr;
};

using Emit = function_ref<InFlightDiagnostic()>;
using Check = LogicalResult (*)(const Place &, Attribute, Emit);

struct Rule {
  StringRef name;
  Check check;
};

LogicalResult checkName(const Place &, Attribute value, Emit emit) {
  auto text = dyn_cast<StringAttr>(value);
  return text && !text.empty() ? success() : emit() << value << "; expected a name as a string";
}

LogicalResult checkParameter(const Place &place, Attribute value, Emit emit) {
  if (failed(checkName(place, value, emit)))
    return failure();
  auto type = dyn_cast<RankedTensorType>(place.type);
  if (!type || !isa<FloatType>(type.getElementType()))
    return emit() << "on a value of type " << place.type << "; expected a tensor of floats";
  return success();
}

LogicalResult checkMetric(const Place &place, Attribute value, Emit emit) {
  if (failed(checkName(place, value, emit)))
    return failure();
  auto type = dyn_cast<RankedTensorType>(place.type);
  return type && type.getRank() == 0
             ? success()
             : emit() << "on a value of type " << place.type << "; expected a scalar tensor";
}

LogicalResult checkStorage(const Place &place, Attribute value, Emit emit) {
  auto storage = dyn_cast<StorageAttr>(value);
  if (!storage)
    return emit() << value << "; expected #graph.storage<...>";
  auto cut = cast<FunctionOpInterface>(place.op).getArgAttrOfType<CutAttr>(place.index, kCutAttr);
  auto type = dyn_cast<RankedTensorType>(place.type);
  int64_t rank = cut ? cut.getShape().size() : type ? type.getRank() : -1;
  if (rank != storage.getStrides().size())
    return emit() << "has " << storage.getStrides().size() << " strides for a value of type "
                  << place.type;
  if (storage.getOffset() < 0 ||
      llvm::any_of(storage.getStrides().asArrayRef(), [](int64_t n) { return n < 0; }))
    return emit() << value << "; offset and strides must not be negative";
  return success();
}

LogicalResult checkAliases(const Place &, Attribute value, Emit emit) {
  auto names = dyn_cast<ArrayAttr>(value);
  if (!names || !llvm::all_of(names, [](Attribute name) { return isa<StringAttr>(name); }))
    return emit() << value << "; expected an array of strings";
  return success();
}

LogicalResult checkAtomic(const Place &place, Attribute value, Emit emit) {
  return isa<UnitAttr>(value) && isa<EmbeddingGradOp>(place.op)
             ? success()
             : emit() << value << "; expected a unit, on graph.embedding_grad";
}

LogicalResult checkDimension(const Place &place, Attribute value, Emit emit) {
  auto dim = dyn_cast<IntegerAttr>(value);
  auto type = dyn_cast<RankedTensorType>(place.type);
  if (!dim || !dim.getType().isInteger(64))
    return emit() << value << "; expected an i64";
  if (!type || dim.getInt() < 0 || dim.getInt() >= type.getRank())
    return emit() << dim.getInt() << " is not a dimension of " << place.type;
  return success();
}

LogicalResult checkSequenceDimension(const Place &place, Attribute value, Emit emit) {
  if (failed(checkDimension(place, value, emit)))
    return failure();
  auto function = cast<FunctionOpInterface>(place.op);
  return function.getArgAttr(place.index, kBatchDimensionAttr) != value
             ? success()
             : emit() << "is graph.batch_dimension too";
}

LogicalResult checkIndex(const Place &place, Attribute value, Emit emit) {
  auto number = dyn_cast<IntegerAttr>(value);
  if (!number || !number.getType().isInteger(64))
    return emit() << value << "; expected an i64";
  auto function = cast<FunctionOpInterface>(place.op);
  return function.getArgAttr(place.index, kInputAttr)
             ? success()
             : emit() << "on an argument that is no graph.input";
}

LogicalResult checkIndexBound(const Place &place, Attribute value, Emit emit) {
  if (failed(checkIndex(place, value, emit)))
    return failure();
  int64_t bound = cast<IntegerAttr>(value).getInt();
  return bound >= 1 ? success() : emit() << bound << "; expected 1 or more";
}

LogicalResult checkRunState(const Place &place, Attribute value, Emit emit) {
  auto text = dyn_cast<StringAttr>(value);
  Builder builder(value.getContext());
  Type expected;
  if (text && text.getValue() == kRandomCounter)
    expected = RankedTensorType::get(3, builder.getI64Type());
  else if (text && text.getValue() == kLearningRate)
    expected = RankedTensorType::get({}, builder.getF64Type());
  else if (text && text.getValue() == kUpdateStep)
    expected = RankedTensorType::get({}, builder.getI64Type());
  else
    return emit() << value << "; expected \"random_counter\", \"learning_rate\" or \"update_step\"";
  return place.type == expected
             ? success()
             : emit() << value << " on a value of type " << place.type << "; expected " << expected;
}

/// The result's state is an argument of the same name and type.
LogicalResult checkResultState(const Place &place, Attribute value, Emit emit) {
  if (failed(checkName(place, value, emit)))
    return failure();
  auto function = cast<FunctionOpInterface>(place.op);
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    if (function.getArgAttr(i, kStateAttr) != value)
      continue;
    Type type = function.getArgumentTypes()[i];
    return type == place.type ? success()
                              : emit() << value << " has type " << place.type << " but argument "
                                       << i << " has type " << type;
  }
  return emit() << value << " names no argument with the same state";
}

LogicalResult checkKind(StringAttr kind, int64_t index, Emit emit) {
  if (!llvm::is_contained(
          {"parameter", "master", "gradient", "exp_avg", "exp_avg_sq", "gathered", "loss_scale"},
          kind.getValue()))
    return emit() << "kind " << kind
                  << "; expected \"parameter\", \"master\", \"gradient\", \"exp_avg\", "
                     "\"exp_avg_sq\", \"gathered\" or \"loss_scale\"";
  return index >= 0 ? success() : emit() << "index " << index << " is negative";
}

LogicalResult checkBucket(const Place &place, Attribute value, Emit emit) {
  auto bucket = dyn_cast<BucketAttr>(value);
  if (!bucket)
    return emit() << value << "; expected #graph.bucket<...>";
  auto type = dyn_cast<RankedTensorType>(place.type);
  if (!type || type.getRank() != 1)
    return emit() << "on a value of type " << place.type << "; expected a tensor of rank 1";
  return checkKind(bucket.getKind(), bucket.getIndex(), emit);
}

LogicalResult checkMember(const Place &place, Attribute value, Emit emit) {
  auto member = dyn_cast<MemberAttr>(value);
  auto type = dyn_cast<RankedTensorType>(place.type);
  if (!member || !type || !type.getElementType().isIntOrFloat())
    return emit() << value << "; expected #graph.member<...> on a tensor";
  int64_t bits = member.getOffset() * type.getElementTypeBitWidth();
  if (member.getOffset() < 0 || bits % (64 * 8) != 0)
    return emit() << "offset " << member.getOffset() << " of elements of type "
                  << type.getElementType() << " is not a multiple of 64 bytes";
  return checkKind(member.getKind(), member.getIndex(), emit);
}

LogicalResult checkPhase(const Place &, Attribute value, Emit emit) {
  auto text = dyn_cast<StringAttr>(value);
  if (!text || !llvm::is_contained({"forward", "backward", "update"}, text.getValue()))
    return emit() << value << "; expected \"forward\", \"backward\" or \"update\"";
  return success();
}

LogicalResult checkRecompute(const Place &place, Attribute value, Emit emit) {
  auto text = dyn_cast<StringAttr>(value);
  if (!text || !llvm::is_contained({kRecomputeFull, kRecomputeSelective}, text.getValue()))
    return emit() << value << "; expected \"full\" or \"selective\"";
  auto phase = place.op->getAttrOfType<StringAttr>(kPhaseAttr);
  return phase && phase.getValue() == "forward"
             ? success()
             : emit() << "on an op whose graph.phase is not \"forward\"";
}

LogicalResult checkChunk(const Place &, Attribute value, Emit emit) {
  auto chunk = dyn_cast<IntegerAttr>(value);
  return chunk && chunk.getType().isInteger(64) && chunk.getInt() >= 0
             ? success()
             : emit() << value << "; expected an i64 of 0 or more";
}

LogicalResult checkMembers(const Place &, Attribute value, Emit emit) {
  auto members = dyn_cast<ArrayAttr>(value);
  auto isMember = [](Attribute attribute) {
    auto member = dyn_cast<DictionaryAttr>(attribute);
    return member && member.getAs<TypeAttr>(kTypeAttr) && member.getAs<MemberAttr>(kMemberAttr);
  };
  return members && llvm::all_of(members, isMember)
             ? success()
             : emit() << value << "; expected dictionaries with graph.type and graph.member";
}

/// Of a parameter that is narrower.
LogicalResult checkMaster(const Place &place, Attribute value, Emit emit) {
  auto type = dyn_cast<TypeAttr>(value);
  auto tensor = dyn_cast<RankedTensorType>(place.type);
  auto function = cast<FunctionOpInterface>(place.op);
  return type && tensor && type.getValue() == accumulationType(tensor.getElementType()) &&
                 type.getValue() != tensor.getElementType() &&
                 function.getArgAttr(place.index, kParameterAttr)
             ? success()
             : emit() << value << " on a value of type " << place.type
                      << "; expected f32 on a graph.parameter of bf16 or f16";
}

LogicalResult checkAccumulation(const Place &, Attribute value, Emit emit) {
  auto steps = dyn_cast<IntegerAttr>(value);
  return steps && steps.getType().isInteger(64) && steps.getInt() >= 1
             ? success()
             : emit() << value << "; expected an i64 of 1 or more";
}

LogicalResult checkClipping(const Place &, Attribute value, Emit emit) {
  auto norm = dyn_cast<FloatAttr>(value);
  return norm && norm.getValueAsDouble() >= 0.0
             ? success()
             : emit() << value << "; expected a float of 0 or more";
}

template <typename Kind> LogicalResult checkIs(const Place &, Attribute value, Emit emit) {
  return isa<Kind>(value)
             ? success()
             : emit() << value << "; expected #graph." << Kind::getMnemonic() << "<...>";
}

LogicalResult checkIdArgument(const Place &place, Attribute value, Emit emit) {
  auto argument = dyn_cast<IntegerAttr>(value);
  auto function = place.op->getParentOfType<FunctionOpInterface>();
  if (!isa<DropoutOp>(place.op) || !function || !argument || !argument.getType().isInteger(64) ||
      argument.getInt() < 0 || argument.getInt() >= function.getNumArguments())
    return emit() << value << "; expected the number of an argument, on a dropout";
  return success();
}

constexpr Rule kOpRules[] = {{kPhaseAttr, checkPhase},
                             {kIdArgumentAttr, checkIdArgument},
                             {kProviderAttr, checkName},
                             {kRecomputeAttr, checkRecompute},
                             {kChunkAttr, checkChunk},
                             {kHoldsAttr, checkName},
                             {kAtomicAttr, checkAtomic},
                             {kAccumulationAttr, checkAccumulation},
                             {kClippingAttr, checkClipping},
                             {kOptimizerAttr, checkIs<AdamWAttr>},
                             {kMixedPrecisionAttr, checkIs<MixedPrecisionAttr>},
                             {kLossScaleAttr, checkIs<LossScaleAttr>}};
constexpr Rule kArgumentRules[] = {{kParameterAttr, checkParameter},
                                   {kBufferAttr, checkName},
                                   {kStorageAttr, checkStorage},
                                   {kAliasesAttr, checkAliases},
                                   {kInputAttr, checkName},
                                   {kBatchDimensionAttr, checkDimension},
                                   {kSequenceDimensionAttr, checkSequenceDimension},
                                   {kIndexBoundAttr, checkIndexBound},
                                   {kIgnoredIndexAttr, checkIndex},
                                   {kRunStateAttr, checkRunState},
                                   {kStateAttr, checkName},
                                   {kBucketAttr, checkBucket},
                                   {kMemberAttr, checkMember},
                                   {kCutAttr, checkIs<CutAttr>},
                                   {kMasterAttr, checkMaster},
                                   {kMembersAttr, checkMembers}};
constexpr Rule kResultRules[] = {{kOutputAttr, checkName},   {kGradientAttr, checkName},
                                 {kMetricAttr, checkMetric}, {kStateAttr, checkResultState},
                                 {kBucketAttr, checkBucket}, {kMemberAttr, checkMember}};

LogicalResult checkRules(ArrayRef<Rule> rules, const Place &place, StringRef what,
                         NamedAttribute attribute) {
  StringRef name = attribute.getName();
  auto rule = llvm::find_if(rules, [&](const Rule &rule) { return rule.name == name; });
  if (rule != rules.end())
    return rule->check(place, attribute.getValue(), [&] {
      InFlightDiagnostic error = emitError(place.op->getLoc());
      error << name << " of ";
      if (place.type)
        error << what << " " << place.index << ": ";
      else
        error << what << ": ";
      return error;
    });
  InFlightDiagnostic error = emitError(place.op->getLoc());
  error << "unknown attribute " << name << " on " << what << "; known there: ";
  llvm::interleaveComma(rules, error, [&](const Rule &rule) { error << rule.name; });
  return error;
}

} // namespace

LogicalResult GraphDialect::verifyOperationAttribute(Operation *op, NamedAttribute attribute) {
  return checkRules(kOpRules, {op}, "an op", attribute);
}

LogicalResult GraphDialect::verifyRegionArgAttribute(Operation *op, unsigned, unsigned index,
                                                     NamedAttribute attribute) {
  auto function = dyn_cast<FunctionOpInterface>(op);
  if (!function)
    return op->emitOpError() << "has no arguments for " << attribute.getName().getValue();
  return checkRules(kArgumentRules, {op, index, function.getArgumentTypes()[index]}, "argument",
                    attribute);
}

LogicalResult GraphDialect::verifyRegionResultAttribute(Operation *op, unsigned, unsigned index,
                                                        NamedAttribute attribute) {
  auto function = dyn_cast<FunctionOpInterface>(op);
  if (!function)
    return op->emitOpError() << "has no results for " << attribute.getName().getValue();
  return checkRules(kResultRules, {op, index, function.getResultTypes()[index]}, "result",
                    attribute);
}

} // namespace deepshard::graph
