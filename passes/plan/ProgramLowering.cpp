//===- ProgramLowering.cpp - what outlives a segment ------------------------------------------===//

#include "passes/plan/ProgramLowering.h"

#include "dialects/graph/HostTensor.h"
#include "passes/kernels/gpu/GpuKernel.h"

#include "llvm/ADT/MapVector.h"

using namespace mlir;

namespace deepshard {

/// A cache line, and the widest vector.
static constexpr int64_t kAlignment = 64;

int64_t bufferBytes(RankedTensorType type) {
  return std::max<int64_t>(1, type.getNumElements()) * plan::elementBytes(type.getElementType());
}

Strided contiguousPlace(Value buffer, RankedTensorType type, int64_t offset) {
  return {buffer,
          offset,
          type.getElementType(),
          llvm::to_vector(type.getShape()),
          plan::ViewType::contiguousStrides(type.getShape()),
          {}};
}

ProgramLowering::ProgramLowering(plan::ProgramOp program, int threads, bool isGpu,
                                 sharding::MeshOp mesh)
    : program(program), threads(threads), isGpu(isGpu),
      mesh(mesh ? mesh.getAxes() : sharding::MeshAttr()), declarations(program.getContext()),
      tables(program.getContext()) {
  Block &body = program.getBody().front();
  declarations.setInsertionPointToStart(&body);
  tables.setInsertionPointToEnd(&body);
}

Value ProgramLowering::createBuffer(Location location, StringRef name, plan::Lifetime lifetime,
                                    int64_t bytes, ElementsAttr constant) {
  auto type = plan::BufferType::get(program.getContext());
  return plan::BufferOp::create(declarations, location, type, name, lifetime, /*kind=*/StringAttr(),
                                /*window=*/false, bytes, kAlignment, IntegerAttr(), constant);
}

static std::string bucketName(StringRef kind, int64_t index) {
  return (kind + "." + Twine(index)).str();
}

LogicalResult ProgramLowering::declareBuckets(func::FuncOp function) {
  LogicalResult result = success();
  auto declare = [&](DictionaryAttr attributes, Type type) {
    if (attributes &&
        failed(declareBucket(function.getLoc(), attributes, cast<RankedTensorType>(type))))
      result = failure();
  };
  for (BlockArgument argument : function.getArguments())
    declare(function.getArgAttrDict(argument.getArgNumber()), argument.getType());
  for (auto [index, type] : llvm::enumerate(function.getResultTypes()))
    declare(function.getResultAttrDict(index), type);
  return result;
}

/// Gradients and gathered parameters live for a step; what the model and the optimizer keep, for
/// ever.
static bool isPersistent(StringRef kind) { return kind != "gradient" && kind != "gathered"; }

LogicalResult ProgramLowering::declareBucket(Location location, DictionaryAttr attributes,
                                             RankedTensorType type) {
  auto bucket = attributes.getAs<graph::BucketAttr>(graph::kBucketAttr);
  if (!bucket)
    return success();
  StringRef kind = bucket.getKind().getValue();
  std::string name = bucketName(kind, bucket.getIndex());
  if (auto it = buckets.find(name); it != buckets.end()) {
    if (it->second.shape == type.getShape() && it->second.elementType == type.getElementType())
      return success();
    return emitError(location) << "sees bucket " << name << " as " << type << " here, with "
                               << it->second.shape[0] << " elements elsewhere";
  }
  plan::Lifetime lifetime = isPersistent(kind) ? plan::Lifetime::Persistent : plan::Lifetime::Step;
  Strided place = contiguousPlace(createBuffer(location, name, lifetime, bufferBytes(type)), type);
  buckets[name] = place;
  if (!isPersistent(kind)) {
    place.buffer.getDefiningOp<plan::BufferOp>().setKind(kind);
    return success();
  }
  auto layout = attributes.getAs<sharding::LayoutAttr>(sharding::kLayoutAttr);
  auto over = layout ? layout.getDims()[0] : sharding::AxisListAttr::get(program.getContext(), {});
  int64_t parts = mesh ? mesh.sizeOf(over.getAxes()) : 1;
  Value placed = viewAtEnd(place);
  plan::BucketOp::create(tables, location, name, kind, type.getNumElements() * parts, over, placed,
                         kind == graph::kLossScaleKind ? initialLossScale(type) : ElementsAttr());
  return success();
}

/// The state of `graph.update_loss_scale` before the first step.
ElementsAttr ProgramLowering::initialLossScale(RankedTensorType type) const {
  auto options = program->getParentOfType<ModuleOp>()->getAttrOfType<graph::LossScaleAttr>(
      graph::kLossScaleAttr);
  assert(options && "create-update made the bucket for it");
  const double state[] = {options.getInitial().getValueAsDouble(), 0,
                          static_cast<double>(options.getHysteresis()), 0};
  return DenseElementsAttr::get(type, ArrayRef(state));
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
    return emitError(location) << "lies in bucket " << name << ", which no function has";
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

Strided ProgramLowering::runState(Location location, StringRef name, RankedTensorType type,
                                  sharding::AxisListAttr over) {
  std::string key = name.str();
  if (over)
    key += sharding::textOf(over.getAxes());
  auto [it, inserted] = runStates.try_emplace(key);
  if (inserted) {
    it->second = contiguousPlace(
        createBuffer(location, name, plan::Lifetime::Persistent, bufferBytes(type)), type);
    Value placed = viewAtEnd(it->second);
    plan::RunStateOp::create(tables, location, name, placed, over);
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
  return createView(tables, place.buffer.getLoc(), place);
}

void ProgramLowering::declareMetric(Location location, StringRef name, const Strided &place) {
  Value placed = viewAtEnd(place);
  plan::MetricOp::create(tables, location, name, placed);
}

void ProgramLowering::declareParameter(Location location, DictionaryAttr attributes,
                                       RankedTensorType type) {
  auto member = attributes.getAs<graph::MemberAttr>(graph::kMemberAttr);
  // A gathered copy lies in its bucket where the parameter lies in its own, and so does its master.
  std::string bucket = bucketName("parameter", member.getIndex());
  auto master = attributes.getAs<TypeAttr>(graph::kMasterAttr);
  if (!master)
    return declareTensor(location, bucket, "", member.getOffset(), attributes, type);
  declareTensor(location, bucketName("master", member.getIndex()), bucket, member.getOffset(),
                attributes, type.clone(master.getValue()));
}

Strided ProgramLowering::ownBucket(Location location, DictionaryAttr attributes,
                                   RankedTensorType type) {
  std::string name = bucketName("buffer", ownBuckets++);
  auto flat = RankedTensorType::get({type.getNumElements()}, type.getElementType());
  Value buffer = createBuffer(location, name, plan::Lifetime::Persistent, bufferBytes(flat));
  Value placed = viewAtEnd(contiguousPlace(buffer, flat));
  plan::BucketOp::create(tables, location, name, "buffer", flat.getNumElements(),
                         sharding::AxisListAttr::get(program.getContext(), {}), placed,
                         ElementsAttr());
  declareTensor(location, name, "", 0, attributes, type);
  return contiguousPlace(buffer, type);
}

void ProgramLowering::declareTensor(Location location, StringRef bucket, StringRef copyBucket,
                                    int64_t offset, DictionaryAttr attributes,
                                    RankedTensorType type) {
  auto parameter = attributes.getAs<StringAttr>(graph::kParameterAttr);
  auto name = parameter ? parameter : attributes.getAs<StringAttr>(graph::kBufferAttr);
  auto layout = attributes.getAs<sharding::LayoutAttr>(sharding::kLayoutAttr);
  SmallVector<int64_t> padded =
      layout && mesh ? layout.globalShape(mesh, type.getShape()) : llvm::to_vector(type.getShape());
  auto cut = attributes.getAs<graph::CutAttr>(graph::kCutAttr);
  ArrayRef<int64_t> dims = cut ? cut.getDims().asArrayRef() : ArrayRef<int64_t>(padded);
  ArrayRef<int64_t> shape = cut ? cut.getShape().asArrayRef() : ArrayRef<int64_t>(padded);
  if (layout && layout.isReplicated())
    layout = nullptr;
  auto aliases = attributes.getAs<ArrayAttr>(graph::kAliasesAttr);
  plan::ParameterOp::create(tables, location, name.getValue(),
                            RankedTensorType::get(shape, type.getElementType()), bucket, offset,
                            copyBucket.empty() ? StringAttr() : tables.getStringAttr(copyBucket),
                            dims, padded, layout, attributes.get(graph::kStorageAttr),
                            aliases ? aliases : tables.getArrayAttr({}), parameter != nullptr);
}

void ProgramLowering::zeroAtStart(const Strided &place) {
  for (const auto &bucket : buckets)
    if (bucket.second.buffer == place.buffer)
      return zeroWhole(bucket.second);
  zeroWhole(place);
}

SmallVector<Strided> ProgramLowering::padding() const {
  SmallVector<Strided> gaps;
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
        gaps.push_back(contiguousPlace(
            buffer,
            RankedTensorType::get({(begin - at) / plan::elementBytes(elementType)}, elementType),
            at));
      at = next;
    }
  }
  return gaps;
}

void ProgramLowering::zeroWhole(const Strided &place) {
  if (!llvm::is_contained(accumulators, place))
    accumulators.push_back(place);
}

const RowLoops &ProgramLowering::rowLoops(func::CallOp call) {
  auto [it, isNew] = groups.try_emplace(call.getCallee());
  if (isNew) {
    auto function =
        program->getParentOfType<ModuleOp>().lookupSymbol<func::FuncOp>(call.getCallee());
    std::optional<RowLoops> loops = function ? RowLoops::of(function) : std::nullopt;
    assert(loops && "fuse-kernels outlines what row loops compute");
    it->second = std::move(*loops);
  }
  return it->second;
}

const std::optional<ProgramLowering::GeneratedKernel> &
ProgramLowering::generated(func::CallOp call, ArrayRef<Strides> inputs, ArrayRef<Strides> outputs,
                           ArrayRef<int64_t> alignments) {
  std::string key = call.getCallee().str();
  for (ArrayRef<Strides> operands : {inputs, outputs})
    for (const Strides &strides : operands)
      for (int64_t stride : strides)
        key += "," + std::to_string(stride); // how many there are follows from the callee
  for (int64_t alignment : alignments)
    key += "," + std::to_string(alignment);
  auto [it, isNew] = kernels.try_emplace(key);
  if (!isNew)
    return it->second;
  const RowLoops &loops = rowLoops(call);
  std::optional<int64_t> workspaceBytes;
  if (isGpu) {
    if (auto kernel = GpuKernel::of(loops, inputs, outputs, alignments))
      workspaceBytes = kernel->getWorkspaceBytes();
  } else if (auto kernel = RowKernel::of(loops, inputs, outputs, threads)) {
    workspaceBytes = kernel->getWorkspaceBytes();
  }
  if (!workspaceBytes)
    return it->second;
  int64_t flops = 0;
  for (Operation *op : loops.getOps())
    if (auto cost = dyn_cast<graph::CostOpInterface>(op))
      flops += cost.getCost().flops;
  it->second = GeneratedKernel{*workspaceBytes, flops};
  return it->second;
}

} // namespace deepshard
