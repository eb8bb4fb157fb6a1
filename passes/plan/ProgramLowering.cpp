//===- ProgramLowering.cpp - what outlives a segment ------------------------------------------===//

#include "passes/plan/ProgramLowering.h"

#include "dialects/graph/HostTensor.h"

#include "llvm/ADT/MapVector.h"

using namespace mlir;

namespace deepshard {

/// A cache line, and the widest vector.
static constexpr int64_t kAlignment = 64;

int64_t bufferBytes(RankedTensorType type) {
  return std::max<int64_t>(1, type.getNumElements()) * plan::elementBytes(type.getElementType());
}

Strided contiguousPlace(Value buffer, RankedTensorType type, int64_t offset) {
  return {buffer, offset, type.getElementType(), llvm::to_vector(type.getShape()),
          plan::ViewType::contiguousStrides(type.getShape())};
}

ProgramLowering::ProgramLowering(plan::ProgramOp program, int threads)
    : program(program), threads(threads), declarations(program.getContext()),
      tables(program.getContext()) {
  Block &body = program.getBody().front();
  declarations.setInsertionPointToStart(&body);
  tables.setInsertionPointToEnd(&body);
}

Value ProgramLowering::createBuffer(Location location, StringRef name, plan::Lifetime lifetime,
                                    int64_t bytes, ElementsAttr constant) {
  auto type = plan::BufferType::get(program.getContext());
  return plan::BufferOp::create(declarations, location, type, name, lifetime, bytes, kAlignment,
                                IntegerAttr(), constant);
}

static std::string bucketName(StringRef kind, int64_t index) {
  return (kind + "." + Twine(index)).str();
}

LogicalResult ProgramLowering::declareBuckets(func::FuncOp update) {
  for (BlockArgument argument : update.getArguments()) {
    auto bucket =
        update.getArgAttrOfType<graph::BucketAttr>(argument.getArgNumber(), graph::kBucketAttr);
    if (!bucket)
      continue;
    auto type = cast<RankedTensorType>(argument.getType());
    StringRef kind = bucket.getKind().getValue();
    std::string name = bucketName(kind, bucket.getIndex());
    plan::Lifetime lifetime =
        kind == "gradient" ? plan::Lifetime::Step : plan::Lifetime::Persistent;
    Strided place =
        contiguousPlace(createBuffer(argument.getLoc(), name, lifetime, bufferBytes(type)), type);
    if (!buckets.try_emplace(name, place).second)
      return update.emitError() << "declares bucket " << name << " twice";
    if (kind != "gradient" && kind != "parameter") {
      Value placed = viewAtEnd(place);
      plan::OptimizerStateOp::create(tables, argument.getLoc(), name, placed);
    }
  }
  return success();
}

FailureOr<std::optional<Strided>>
ProgramLowering::bucketPlace(Location location, DictionaryAttr attributes, RankedTensorType type) {
  auto whole = attributes.getAs<graph::BucketAttr>(graph::kBucketAttr);
  auto member = attributes.getAs<graph::MemberAttr>(graph::kMemberAttr);
  if (!whole && !member)
    return std::optional<Strided>();
  std::string name = whole ? bucketName(whole.getKind().getValue(), whole.getIndex())
                           : bucketName(member.getKind().getValue(), member.getIndex());
  auto it = buckets.find(name);
  if (it == buckets.end())
    return emitError(location) << "lies in bucket " << name << ", which @update does not declare";
  if (whole)
    return std::optional(it->second);
  return std::optional(contiguousPlace(
      it->second.buffer, type, member.getOffset() * plan::elementBytes(type.getElementType())));
}

Strided ProgramLowering::stepValue(Location location, StringRef name, RankedTensorType type) {
  auto [it, inserted] = stepValues.try_emplace(name);
  if (inserted)
    it->second = contiguousPlace(
        createBuffer(location, name, plan::Lifetime::Step, bufferBytes(type)), type);
  return it->second;
}

Strided ProgramLowering::runState(Location location, StringRef name, RankedTensorType type) {
  auto [it, inserted] = runStates.try_emplace(name);
  if (inserted) {
    it->second = contiguousPlace(
        createBuffer(location, name, plan::Lifetime::Persistent, bufferBytes(type)), type);
    Value placed = viewAtEnd(it->second);
    plan::RunStateOp::create(tables, location, name, placed);
  }
  return it->second;
}

Strided ProgramLowering::constant(graph::ConstantOp op) {
  auto [it, inserted] = constants.try_emplace(op.getValueAttr());
  if (inserted)
    it->second = createConstant(op);
  return it->second;
}

Strided ProgramLowering::createConstant(graph::ConstantOp op) {
  auto type = cast<RankedTensorType>(op.getType());
  bool splat = op.getValue().isSplat();
  graph::HostTensor tensor = graph::toHostTensor(op.getValue());
  auto *content = reinterpret_cast<const char *>(tensor.data());
  int64_t bytes = splat ? plan::elementBytes(type.getElementType()) : bufferBytes(type);
  auto contentType = RankedTensorType::get({bytes}, declarations.getI8Type());
  Value buffer =
      createBuffer(op.getLoc(), "constant", plan::Lifetime::Persistent, bytes,
                   DenseElementsAttr::getFromRawBuffer(contentType, ArrayRef(content, bytes)));
  Strided place = contiguousPlace(buffer, type);
  if (splat)
    llvm::fill(place.strides, 0);
  return place;
}

Value ProgramLowering::viewAtEnd(const Strided &place) {
  return plan::ViewOp::create(tables, place.buffer.getLoc(), place.type(), place.buffer,
                              place.offset);
}

void ProgramLowering::declareMetric(Location location, StringRef name, const Strided &place) {
  Value placed = viewAtEnd(place);
  plan::MetricOp::create(tables, location, name, placed);
}

void ProgramLowering::declareParameter(Location location, StringRef name, const Strided &place,
                                       DictionaryAttr attributes) {
  Value placed = viewAtEnd(place);
  auto aliases = attributes.getAs<ArrayAttr>(graph::kAliasesAttr);
  plan::ParameterOp::create(tables, location, name, placed, attributes.get(graph::kStorageAttr),
                            aliases ? aliases : tables.getArrayAttr({}),
                            attributes.contains(graph::kParameterAttr));
}

void ProgramLowering::zeroAtStart(const Strided &place) {
  for (const auto &bucket : buckets)
    if (bucket.second.buffer == place.buffer)
      return zeroWhole(bucket.second);
  zeroWhole(place);
}

void ProgramLowering::zeroPadding() {
  llvm::MapVector<Value, SmallVector<std::pair<int64_t, int64_t>>> covered;
  for (const Strided &part : parts) {
    int64_t bytes = part.type().getNumElements() * plan::elementBytes(part.elementType);
    covered[part.buffer].push_back({part.offset, part.offset + bytes});
  }
  for (auto &[buffer, ranges] : covered) {
    if (llvm::any_of(accumulators, [&](const Strided &place) { return place.buffer == buffer; }))
      continue;
    Type elementType;
    int64_t end = 0;
    for (const auto &bucket : buckets)
      if (bucket.second.buffer == buffer) {
        elementType = bucket.second.elementType;
        end = bucket.second.shape[0] * plan::elementBytes(elementType);
      }
    llvm::sort(ranges);
    ranges.push_back({end, end});
    int64_t at = 0;
    for (auto [begin, next] : ranges) {
      if (begin > at)
        zeroWhole(contiguousPlace(
            buffer,
            RankedTensorType::get({(begin - at) / plan::elementBytes(elementType)}, elementType),
            at));
      at = next;
    }
  }
}

void ProgramLowering::zeroWhole(const Strided &place) {
  if (!llvm::is_contained(accumulators, place))
    accumulators.push_back(place);
}

} // namespace deepshard
