//===- SegmentLowering.cpp - one function becomes one segment ---------------------------------===//

#include "passes/plan/SegmentLowering.h"

#include "dialects/graph/HostTensor.h"
#include "passes/kernels/KernelNames.h"
#include "passes/kernels/KernelSpecs.h"
#include "passes/kernels/gpu/GpuKernel.h"
#include "runtime/kernels/Providers.h"

#include "llvm/ADT/TypeSwitch.h"

#include <numeric>

using namespace mlir;

namespace deepshard {

static StringRef stringAttr(DictionaryAttr attributes, StringRef name) {
  auto attribute = attributes.getAs<StringAttr>(name);
  return attribute ? attribute.getValue() : StringRef();
}

static StringRef phaseOf(Operation *op) {
  auto phase = op ? op->getAttrOfType<StringAttr>(graph::kPhaseAttr) : StringAttr();
  return phase ? phase.getValue() : "forward";
}

/// The provider that choose-kernels chose; null if it did not.
static const runtime::KernelProvider *providerOf(Operation *op) {
  auto chosen = op->getAttrOfType<StringAttr>(graph::kProviderAttr);
  return chosen ? plannedProvider(chosen.getValue()) : nullptr;
}

static bool isElementwise(Operation *op) {
  auto evaluable = dyn_cast<graph::EvaluableOpInterface>(op);
  return evaluable && evaluable.isElementwise() && !accumulatedBy(op);
}

/// An op that reads an element of an operand before it writes that element of its result.
bool SegmentLowering::worksInPlace(Operation *op, Value operand, Value result) {
  if (auto call = dyn_cast<func::CallOp>(op)) {
    unsigned output = cast<OpResult>(result).getResultNumber();
    return llvm::all_of(llvm::enumerate(call.getOperands()), [&](auto input) {
      return input.value() != operand || program.rowLoops(call).mayOverwrite(input.index(), output);
    });
  }
  if (accumulatedBy(op))
    return kernelOperands(op).back() == operand;
  return isa<graph::AdamWOp, graph::UpdateLossScaleOp, sharding::AllReduceOp>(op) ||
         (isElementwise(op) && op->getResult(0).getType() == operand.getType());
}

static RankedTensorType tensorType(Value value) { return cast<RankedTensorType>(value.getType()); }

SegmentLowering::SegmentLowering(ProgramLowering &program, func::FuncOp function,
                                 plan::SegmentOp segment)
    : program(program), function(function), tasks(segment.getContext()) {
  tasks.setInsertionPointToEnd(&segment.getBody().front());
}

LogicalResult SegmentLowering::run() {
  dropResultsWithoutPlace();
  for (auto [position, op] : llvm::enumerate(function.getBody().front()))
    positions[&op] = position;
  for (BlockArgument argument : function.getArguments())
    if (failed(placeArgument(argument)))
      return failure();
  if (failed(placeResults()))
    return failure();
  function.walk([&](sharding::PackOp pack) { placePacked(pack); });
  // From the last on: what is joined may be part of what is joined later.
  SmallVector<graph::ConcatOp> concats(function.getOps<graph::ConcatOp>());
  for (graph::ConcatOp concat : llvm::reverse(concats))
    placeJoined(concat);
  for (Operation &op : function.getBody().front().without_terminator())
    if (failed(emit(&op)))
      return failure();
  for (auto &[value, place] : copies)
    copy(value.getLoc(), places[value], place, phaseOf(value.getDefiningOp()));
  return success();
}

void SegmentLowering::dropResultsWithoutPlace() {
  for (unsigned i = function.getNumResults(); i-- > 0;) {
    DictionaryAttr attributes = function.getResultAttrDict(i);
    if (attributes &&
        (attributes.contains(graph::kMetricAttr) || attributes.contains(graph::kStateAttr) ||
         attributes.contains(graph::kMemberAttr) || attributes.contains(graph::kBucketAttr)))
      continue;
    terminator()->eraseOperand(i);
    (void)function.eraseResult(i);
  }
  SmallVector<Operation *> ops;
  for (Operation &op : function.getBody().front().without_terminator())
    ops.push_back(&op);
  for (Operation *op : llvm::reverse(ops))
    if (op->use_empty())
      op->erase();
}

//===------------------------------------------------------------------------------------------===//
// Places
//===------------------------------------------------------------------------------------------===//

LogicalResult SegmentLowering::placeArgument(BlockArgument argument) {
  DictionaryAttr attributes = function.getArgAttrDict(argument.getArgNumber());
  if (!attributes)
    attributes = DictionaryAttr::get(function.getContext());
  RankedTensorType type = tensorType(argument);
  Location location = argument.getLoc();
  FailureOr<std::optional<Strided>> inBucket = program.bucketPlace(location, attributes, type);
  if (failed(inBucket))
    return failure();
  StringRef parameter = stringAttr(attributes, graph::kParameterAttr);
  StringRef tensor = parameter.empty() ? stringAttr(attributes, graph::kBufferAttr) : parameter;
  StringRef input = stringAttr(attributes, graph::kInputAttr);
  StringRef runState = stringAttr(attributes, graph::kRunStateAttr);
  StringRef state = stringAttr(attributes, graph::kStateAttr);

  Strided place;
  if (*inBucket) {
    place = **inBucket;
    // An accumulator; what the optimizer keeps lies in whole buckets of other kinds.
    auto bucket = attributes.getAs<graph::BucketAttr>(graph::kBucketAttr);
    if (!state.empty() && (!bucket || bucket.getKind().getValue() == "gradient"))
      program.zeroAtStart(place);
  } else if (!input.empty()) {
    place = contiguousPlace(
        program.createBuffer(location, input, plan::Lifetime::Transient, bufferBytes(type)), type);
    auto batch = attributes.getAs<IntegerAttr>(graph::kBatchDimensionAttr);
    auto layout = attributes.getAs<sharding::LayoutAttr>(sharding::kLayoutAttr);
    if (layout && layout.isReplicated())
      layout = nullptr;
    plan::FeedOp::create(tasks, location, input, view(location, place), plan::kComputeStream,
                         batch ? batch.getInt() : -1, layout,
                         attributes.getAs<IntegerAttr>(graph::kIndexBoundAttr),
                         attributes.getAs<IntegerAttr>(graph::kIgnoredIndexAttr));
  } else if (!runState.empty()) {
    place = program.runState(location, runState, type);
  } else if (!state.empty()) {
    place = program.stepValue(location, state, type);
    program.zeroAtStart(place);
  } else if (!tensor.empty()) {
    place = program.ownBucket(location, attributes, type);
    tensor = "";
  } else {
    return emitError(location) << "argument " << argument.getArgNumber() << " of @"
                               << function.getName()
                               << " has no role (parameter, buffer, input, state or run state)";
  }
  if (!tensor.empty())
    program.declareParameter(location, attributes, type);
  // A bucket that is gathered where it is used carries its parameters with it.
  if (auto members = attributes.getAs<ArrayAttr>(graph::kMembersAttr))
    for (auto member : members.getAsRange<DictionaryAttr>())
      program.declareParameter(
          location, member,
          cast<RankedTensorType>(member.getAs<TypeAttr>(graph::kTypeAttr).getValue()));
  places[argument] = place;
  return success();
}

LogicalResult SegmentLowering::placeResults() {
  for (OpOperand &returned : terminator()->getOpOperands()) {
    Value value = returned.get();
    Location location = value.getLoc();
    DictionaryAttr attributes = function.getResultAttrDict(returned.getOperandNumber());
    FailureOr<std::optional<Strided>> inBucket =
        program.bucketPlace(location, attributes, tensorType(value));
    if (failed(inBucket))
      return failure();
    StringRef metric = stringAttr(attributes, graph::kMetricAttr),
              state = stringAttr(attributes, graph::kStateAttr);
    Strided place =
        *inBucket ? **inBucket
                  : program.stepValue(location, state.empty() ? metric : state, tensorType(value));
    if (attributes.contains(graph::kMemberAttr))
      program.notePart(place);
    if (!metric.empty())
      program.declareMetric(location, metric, place);
    if (!aim(value, place))
      copies.push_back({value, place});
  }
  return success();
}

bool SegmentLowering::aim(Value value, const Strided &place) {
  if (!canComputeIn(value, place))
    return false;
  destinations[value] = place;
  // The own part of what is gathered in place is computed there too.
  auto gather = value.getDefiningOp<sharding::AllGatherOp>();
  if (gather && gather.getDim() == 0 && gather.getX().hasOneUse())
    aim(gather.getX(), partOf(place, 0, gather.getGroup(),
                              sharding::lookupMesh(gather, gather.getGroup().getMesh())));
  // What is added up is added up in place: the operand that waits longest for the others.
  Operation *producer = value.getDefiningOp();
  if (!place.type().isContiguous())
    return true; // not every kernel writes there
  if (isElementwise(producer) || accumulatedBy(producer) || isa<func::CallOp>(producer)) {
    Operation *first = nullptr;
    for (Value operand : kernelOperands(producer)) {
      Operation *op = operand.getDefiningOp();
      if (op && operand.hasOneUse() && worksInPlace(producer, operand, value) &&
          (!first || positions[op] < positions[first]))
        first = op;
    }
    if (first && first->getNumResults() == 1)
      aim(first->getResult(0), place);
  }
  return true;
}

/// A member of the bucket is computed in its place, unless its own is elsewhere.
void SegmentLowering::placePacked(sharding::PackOp pack) {
  auto type = cast<RankedTensorType>(pack.getResult().getType());
  // A bucket that is only summed in place is packed where the sum belongs.
  Operation *user = pack->hasOneUse() ? *pack->getUsers().begin() : nullptr;
  auto aimed = isa_and_nonnull<sharding::AllReduceOp>(user) ? destinations.find(user->getResult(0))
                                                            : destinations.end();
  Strided bucket = aimed != destinations.end() ? aimed->second : allocate(pack, type);
  packed[pack] = bucket;
  for (auto [tensor, offset] : llvm::zip_equal(pack.getTensors(), pack.getOffsets()))
    aim(tensor, contiguousPlace(bucket.buffer, tensorType(tensor),
                                offset * plan::elementBytes(type.getElementType())));
}

/// The parts of `concat` in its place.
static SmallVector<Strided> partsOf(graph::ConcatOp concat, const Strided &whole) {
  SmallVector<Strided> parts;
  auto dim = static_cast<int64_t>(concat.getDim());
  int64_t at = 0;
  for (Value operand : concat.getOperands()) {
    Strided part = whole;
    part.shape[dim] = tensorType(operand).getDimSize(dim);
    part.offset += at * whole.strides[dim] * plan::elementBytes(whole.elementType);
    at += part.shape[dim];
    parts.push_back(part);
  }
  return parts;
}

/// What is joined is computed in its part.
void SegmentLowering::placeJoined(graph::ConcatOp concat) {
  auto aimed = destinations.find(concat.getResult());
  Strided whole = aimed != destinations.end() ? aimed->second : allocateFor(concat.getResult());
  packed[concat] = whole;
  for (auto [operand, part] : llvm::zip_equal(concat.getOperands(), partsOf(concat, whole)))
    aimBehindViews(operand, part);
}

/// Whether the widest access of a GPU fits the first element.
static bool isAligned(const Strided &place) {
  return alignmentOf(place) % GpuKernel::kAccessBytes == 0;
}

/// Whether the kernel of `value`, one that may write to strides, can write to those of `place`.
bool SegmentLowering::canWriteToStrides(Value value, const Strided &place) {
  Operation *op = value.getDefiningOp();
  const runtime::KernelProvider *provider = providerOf(op);
  if (!provider)
    return false;
  runtime::KernelSpec spec = contiguousSpec(op, program.getThreads());
  for (auto [result, output] : llvm::zip_equal(op->getResults(), spec.outputs)) {
    auto aimed = destinations.find(result);
    if (result == value)
      output = tensorDesc(place.type());
    else if (aimed != destinations.end())
      output = tensorDesc(aimed->second.type());
  }
  return !program.getProviders().ask(*provider, spec).whyNot;
}

/// Whether the kernel of `value` can write to `place`: one from a library to what lies row-major,
/// that of attention and of libraries of GPUs to strides.
bool SegmentLowering::canWriteTo(Value value, const Strided &place) {
  Operation *op = value.getDefiningOp();
  auto call = dyn_cast<func::CallOp>(op);
  if (!call) {
    if (!isa<graph::GraphDialect>(op->getDialect()) || (program.isForGpu() && !isAligned(place)))
      return false;
    const runtime::KernelProvider *provider = providerOf(op);
    bool mayHaveStrides = isa<graph::AttentionOp, graph::AttentionGradOp>(op) ||
                          (provider && isGpuLibrary(provider->name()));
    return place.type().isContiguous() || (mayHaveStrides && canWriteToStrides(value, place));
  }
  auto contiguous = [](Value operand) {
    runtime::TensorDesc desc = tensorDesc(tensorType(operand));
    return Strides(desc.strides.begin(), desc.strides.end());
  };
  const RowLoops &loops = program.rowLoops(call);
  SmallVector<Strides> inputs = llvm::map_to_vector(loops.getInputs(), contiguous);
  SmallVector<Strides> outputs = llvm::map_to_vector(call.getResults(), [&](Value result) {
    auto aimed = destinations.find(result);
    const Strided *own = result == value               ? &place
                         : aimed != destinations.end() ? &aimed->second
                                                       : nullptr;
    return own ? Strides(own->strides) : contiguous(result);
  });
  return program.generated(call, inputs, outputs).has_value();
}

/// Notes that what `value` is a view of is to be computed so that the view lies in `place`.
void SegmentLowering::aimBehindViews(Value value, const Strided &place) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return;
  if (!graph::isView(op) && !isa<graph::ConcatOp>(op)) {
    if (canWriteTo(value, place))
      aim(value, place);
    return;
  }
  if (!value.hasOneUse())
    return;
  if (isa<graph::ConcatOp>(op)) {
    destinations[value] = place; // It stands in front, so its own parts are placed later.
  } else if (auto reshape = dyn_cast<graph::ReshapeOp>(op)) {
    if (std::optional<Strided> source = reshaped(place, tensorType(reshape.getX()).getShape()))
      aimBehindViews(reshape.getX(), *source);
  } else if (auto transpose = dyn_cast<graph::TransposeOp>(op)) {
    Strided source = place;
    for (auto [to, from] : llvm::enumerate(transpose.getPermutation())) {
      source.shape[from] = place.shape[to];
      source.strides[from] = place.strides[to];
    }
    aimBehindViews(transpose.getOperand(), source);
  }
}

bool SegmentLowering::canComputeIn(Value value, const Strided &place) {
  Operation *producer = value.getDefiningOp();
  if (!producer || isViewLike(producer) ||
      isa<graph::ConstantOp, graph::ConcatOp, sharding::AxisIndexOp, sharding::PackOp>(producer) ||
      destinations.contains(value))
    return false;
  for (BlockArgument argument : function.getArguments()) {
    const Strided &taken = places[argument];
    if (taken.buffer == place.buffer && mayOverlap(taken, place) &&
        !readsEndBefore(argument, taken, value, place))
      return false;
  }
  return true;
}

/// Inputs whose place the first result may take, given the same type.
SmallVector<int64_t> SegmentLowering::overwritableInputs(Operation *op) {
  if (isa<graph::CrossEntropyGradOp, graph::CrossEntropyWithGradOp>(op))
    return {0};
  if (accumulatedBy(op))
    return {static_cast<int64_t>(kernelOperands(op).size()) - 1};
  if (auto call = dyn_cast<func::CallOp>(op))
    return llvm::filter_to_vector(llvm::seq<int64_t>(call.getNumOperands()), [&](int64_t input) {
      return program.rowLoops(call).mayOverwrite(input, 0);
    });
  if (isElementwise(op))
    return llvm::to_vector(llvm::seq<int64_t>(op->getNumOperands()));
  return {};
}

bool SegmentLowering::readsEndBefore(Value value, const Strided &at, Value result,
                                     const Strided &place) {
  Operation *producer = result.getDefiningOp();
  for (Operation *user : value.getUsers()) {
    if (isAccumulated(user))
      user = *user->user_begin(); // it is computed there
    if (user == terminator())
      return false;
    if (isViewLike(user)) {
      std::optional<Strided> view = viewOf(user, at);
      if (!view || !readsEndBefore(user->getResult(0), *view, result, place))
        return false;
    } else if (user == producer) {
      if (at != place || !worksInPlace(user, value, result))
        return false;
    } else if (positions[user] > positions[producer]) {
      return false;
    }
  }
  return true;
}

//===------------------------------------------------------------------------------------------===//
// Tasks
//===------------------------------------------------------------------------------------------===//

Value SegmentLowering::view(Location location, const Strided &place) {
  return createView(tasks, location, place);
}

Strided SegmentLowering::allocate(Operation *op, RankedTensorType type) {
  auto named = dyn_cast<NameLoc>(withoutComposite(op->getLoc()));
  StringRef name = named ? named.getName().getValue() : op->getName().stripDialect();
  Value buffer =
      program.createBuffer(op->getLoc(), name, plan::Lifetime::Transient, bufferBytes(type));
  return contiguousPlace(buffer, type);
}

/// The place of the operand of `transpose` whose result lies row-major in `buffer`.
static Strided transposedBack(graph::TransposeOp transpose, Value buffer) {
  Strided result = contiguousPlace(buffer, tensorType(transpose.getResult()));
  Strided place = contiguousPlace(buffer, tensorType(transpose.getOperand()));
  for (auto [dim, source] : llvm::enumerate(transpose.getPermutation()))
    place.strides[source] = result.strides[dim];
  return place;
}

/// Where `value`, which would lie row-major in `place`, lies better: a transpose of it is reshaped
/// so that it would be copied, as heads are merged behind attention. `behindReshapes`: also if that
/// is a transpose of another view of it.
static std::optional<Strided> placeForReaders(Value value, const Strided &place,
                                              bool behindReshapes) {
  for (Operation *user : value.getUsers()) {
    std::optional<Strided> seen = graph::isView(user) ? viewOf(user, place) : std::nullopt;
    if (!seen)
      continue;
    if (auto transpose = dyn_cast<graph::TransposeOp>(user)) {
      if (llvm::any_of(transpose->getUsers(), [&](Operation *reader) {
            return isa<graph::ReshapeOp>(reader) && !viewOf(reader, *seen);
          }))
        return transposedBack(transpose, place.buffer);
    } else if (isa<graph::ReshapeOp>(user) && behindReshapes) {
      if (std::optional<Strided> better =
              placeForReaders(user->getResult(0), *seen, behindReshapes))
        return reshaped(*better, place.shape);
    }
  }
  return std::nullopt;
}

Strided SegmentLowering::allocateFor(Value result) {
  const Strided place = allocate(result.getDefiningOp(), tensorType(result));
  // Grouped heads are reshaped to one dimension first, where attention is made of products.
  return placeForReaders(result, place, /*behindReshapes=*/program.isForGpu()).value_or(place);
}

void SegmentLowering::fillZero(Location location, const Strided &place, StringRef phase) {
  auto attributes = tasks.getDictionaryAttr(tasks.getNamedAttr("value", tasks.getF64FloatAttr(0)));
  plan::LaunchOp::create(tasks, location, primitivesProvider(program.isForGpu()), "fill",
                         ValueRange(), view(location, place), Value(), ArrayRef<int64_t>(),
                         plan::kComputeStream, attributes, 0, phase);
}

void SegmentLowering::copy(Location location, const Strided &from, const Strided &to,
                           StringRef phase) {
  Value input = view(location, from), output = view(location, to);
  plan::LaunchOp::create(tasks, location, primitivesProvider(program.isForGpu()), "copy", input,
                         output, Value(), ArrayRef<int64_t>(), plan::kComputeStream,
                         tasks.getDictionaryAttr({}), 0, phase);
}

Strided SegmentLowering::contiguousCopy(Operation *op, const Strided &source) {
  Strided packed = allocate(op, RankedTensorType::get(source.shape, source.elementType));
  copy(op->getLoc(), source, packed, phaseOf(op));
  return packed;
}

LogicalResult SegmentLowering::emit(Operation *op) {
  if (auto constant = dyn_cast<graph::ConstantOp>(op)) {
    places[constant] = program.constant(constant);
    return success();
  }
  if (auto index = dyn_cast<sharding::AxisIndexOp>(op)) {
    places[index] = program.runState(index.getLoc(), "part", tensorType(index.getResult()),
                                     index.getGroup().getList());
    return success();
  }
  if (auto pack = dyn_cast<sharding::PackOp>(op)) {
    emitPack(pack);
    return success();
  }
  if (auto concat = dyn_cast<graph::ConcatOp>(op)) {
    emitConcat(concat);
    return success();
  }
  if (isViewLike(op))
    return emitView(op);
  if (isa<sharding::ShardingDialect>(op->getDialect())) {
    emitCollective(op);
    return success();
  }
  if (isAccumulated(op))
    return success();
  return emitLaunch(op);
}

/// Members that were not computed in the bucket are copied, and what lies between them is zeroed.
void SegmentLowering::emitPack(sharding::PackOp pack) {
  const Strided bucket = packed[pack];
  int64_t width = plan::elementBytes(bucket.elementType), end = 0;
  auto zeroUpTo = [&](int64_t begin) {
    if (begin > end)
      fillZero(pack.getLoc(),
               contiguousPlace(bucket.buffer,
                               RankedTensorType::get({begin - end}, bucket.elementType),
                               end * width),
               phaseOf(pack));
  };
  for (auto [tensor, offset] : llvm::zip_equal(pack.getTensors(), pack.getOffsets())) {
    zeroUpTo(offset);
    Strided place = contiguousPlace(bucket.buffer, tensorType(tensor), offset * width);
    if (places[tensor] != place)
      copy(pack.getLoc(), places[tensor], place, phaseOf(pack));
    end = offset + tensorType(tensor).getNumElements();
  }
  zeroUpTo(bucket.shape[0]);
  places[pack.getResult()] = bucket;
}

/// Parts that were not computed in their place are copied there.
void SegmentLowering::emitConcat(graph::ConcatOp concat) {
  const Strided whole = packed[concat];
  for (auto [operand, part] : llvm::zip_equal(concat.getOperands(), partsOf(concat, whole)))
    if (places[operand] != part)
      copy(concat.getLoc(), places[operand], part, phaseOf(concat));
  places[concat.getResult()] = whole;
}

/// The own part of what is gathered lies where the gather would put it.
bool SegmentLowering::isGatherInPlace(Operation *op, const Strided &input, const Strided &output) {
  auto gather = dyn_cast<sharding::AllGatherOp>(op);
  return gather && gather.getDim() == 0 &&
         input == partOf(output, 0, gather.getGroup(),
                         sharding::lookupMesh(gather, gather.getGroup().getMesh()));
}

/// The other ranks reach into the inputs of all collectives and the output of all_reduce. They look
/// for them at the place that they have themselves.
void SegmentLowering::emitCollective(Operation *op) {
  sharding::Reduction reduction = sharding::Reduction::Sum;
  int64_t split = 0, concat = 0;
  sharding::GroupAttr group;
  SmallVector<int64_t> sources;
  llvm::TypeSwitch<Operation *>(op)
      .Case([&](sharding::AllReduceOp reduce) {
        reduction = reduce.getReduction();
        group = reduce.getGroup();
      })
      .Case([&](sharding::ReduceScatterOp scatter) {
        reduction = scatter.getReduction();
        group = scatter.getGroup();
        split = scatter.getDim();
      })
      .Case([&](sharding::AllGatherOp gather) {
        group = gather.getGroup();
        concat = gather.getDim();
      })
      .Case([&](sharding::AllToAllOp exchange) {
        group = exchange.getGroup();
        split = exchange.getSplit();
        concat = exchange.getConcat();
      })
      .Case([&](sharding::PermuteOp permute) {
        group = permute.getGroup();
        sources.assign(permute.getSources().begin(), permute.getSources().end());
      });

  Value x = op->getOperand(0), result = op->getResult(0);
  Strided input = places[x];
  auto aimed = destinations.find(result);
  bool isInPlace = aimed != destinations.end() && isGatherInPlace(op, input, aimed->second);
  if (!isInPlace && (!input.type().isContiguous() || movesInside(input, group)))
    input = contiguousCopy(op, input);
  bool reducesAll = isa<sharding::AllReduceOp>(op);
  Operation *producer = x.getDefiningOp();
  bool isLastUse = x.hasOneUse() && producer && !isViewLike(producer) &&
                   !isa<graph::ConstantOp>(producer) && !destinations.contains(x);
  Strided output = aimed != destinations.end() ? aimed->second
                   : reducesAll && isLastUse   ? input
                                               : allocate(op, tensorType(result));
  program.shareBuffer(input.buffer);
  if (reducesAll)
    program.shareBuffer(output.buffer);

  Value from = view(op->getLoc(), input), to = view(op->getLoc(), output);
  plan::CollectiveOp::create(tasks, op->getLoc(), op->getName().stripDialect(),
                             sharding::stringifyReduction(reduction), group.getList(), from, to,
                             split, concat, sources, program.communicationStream(),
                             program.nextSequence(), phaseOf(op));
  places[result] = output;
}

LogicalResult SegmentLowering::emitView(Operation *op) {
  const Strided source = places[op->getOperand(0)];
  std::optional<Strided> renamed = viewOf(op, source);
  // Only a reshape can need bytes of its own: it always fits a row-major copy.
  if (!renamed)
    renamed = viewOf(op, contiguousCopy(op, source));
  if (!renamed)
    return op->emitOpError("cannot be expressed by strides");
  places[op->getResult(0)] = *renamed;
  return success();
}

SmallVector<Strided> SegmentLowering::inputPlaces(Operation *op) {
  bool broadcasts = isElementwise(op);
  return llvm::map_to_vector(kernelOperands(op), [&](Value operand) {
    const Strided &place = places[operand];
    return broadcasts ? broadcastTo(place, tensorType(op->getResult(0)).getShape()) : place;
  });
}

SmallVector<Strided> SegmentLowering::outputPlaces(Operation *op) {
  return llvm::map_to_vector(op->getResults(), [&](Value result) {
    auto it = destinations.find(result);
    if (it != destinations.end())
      return it->second;
    return allocateFor(result);
  });
}

runtime::KernelSpec SegmentLowering::specOf(Operation *op, ArrayRef<Strided> inputs,
                                            ArrayRef<Strided> outputs) {
  runtime::KernelSpec spec;
  spec.name = kernelName(op).str();
  spec.attributes = graph::toKernelAttributes(kernelAttributes(op));
  spec.threads = program.getThreads();
  for (const Strided &input : inputs)
    spec.inputs.push_back(tensorDesc(input.type()));
  for (const Strided &output : outputs)
    spec.outputs.push_back(tensorDesc(output.type()));
  return spec;
}

LogicalResult SegmentLowering::emitLaunch(Operation *op) {
  if (auto call = dyn_cast<func::CallOp>(op))
    return emitGenerated(call);
  const runtime::KernelProvider *provider = providerOf(op);
  if (!provider)
    return op->emitOpError("has no provider; run choose-kernels first");

  SmallVector<Strided> inputs = inputPlaces(op), outputs = outputPlaces(op);
  runtime::KernelSpec spec = specOf(op, inputs, outputs);
  auto whyNot = [&]() -> const std::optional<std::string> & {
    return program.getProviders().ask(*provider, spec).whyNot;
  };
  if (whyNot()) {
    for (auto [result, output] : llvm::zip_equal(op->getResults(), outputs))
      if (!destinations.contains(result))
        output = contiguousPlace(output.buffer, tensorType(result));
    spec = specOf(op, inputs, outputs);
  }
  if (whyNot()) {
    for (Strided &input : inputs)
      if (!input.type().isContiguous())
        input = contiguousCopy(op, input);
    spec = specOf(op, inputs, outputs);
  }
  if (isGpuLibrary(provider->name())) {
    for (Strided &input : inputs)
      if (!isAligned(input))
        input = contiguousCopy(op, input);
    spec = specOf(op, inputs, outputs);
  }
  if (whyNot())
    return op->emitOpError() << "cannot run as kernel \"" << spec.name << "\" of "
                             << provider->name() << ": " << *whyNot();
  launch(op, *provider, spec, inputs, outputs);
  for (auto [result, place] : llvm::zip(op->getResults(), outputs))
    places[result] = place;
  return success();
}

/// The kernel is emitted later, for the strides that its views get here.
LogicalResult SegmentLowering::emitGenerated(func::CallOp call) {
  SmallVector<Strided> inputs = inputPlaces(call), outputs = outputPlaces(call);
  auto fit = [&] {
    auto strides = [](ArrayRef<Strided> places) {
      return llvm::map_to_vector(places,
                                 [](const Strided &place) { return Strides(place.strides); });
    };
    SmallVector<int64_t> alignments;
    if (program.isForGpu())
      for (ArrayRef<Strided> places : {ArrayRef<Strided>(inputs), ArrayRef<Strided>(outputs)})
        for (const Strided &place : places)
          alignments.push_back(std::gcd(GpuKernel::kAccessBytes, alignmentOf(place)));
    return program.generated(call, strides(inputs), strides(outputs), alignments);
  };
  std::optional<ProgramLowering::GeneratedKernel> kernel = fit();
  if (!kernel) {
    for (auto [result, output] : llvm::zip_equal(call.getResults(), outputs))
      if (!destinations.contains(result))
        output = contiguousPlace(output.buffer, tensorType(result));
    kernel = fit();
  }
  if (!kernel) {
    for (Strided &input : inputs)
      if (!input.type().isContiguous())
        input = contiguousCopy(call, input);
    kernel = fit();
  }
  if (!kernel)
    return call.emitOpError("has a result in a place that no row loops fit");

  createLaunch(call, kGeneratedProvider, call.getCallee(), inputs, outputs, kernel->workspaceBytes,
               tasks.getDictionaryAttr({}), kernel->flops);
  for (auto [result, place] : llvm::zip(call.getResults(), outputs))
    places[result] = place;
  return success();
}

void SegmentLowering::launch(Operation *op, const runtime::KernelProvider &provider,
                             const runtime::KernelSpec &spec, ArrayRef<Strided> inputs,
                             ArrayRef<Strided> outputs) {
  Operation *product = accumulatedBy(op);
  auto cost = dyn_cast<graph::CostOpInterface>(product ? product : op);
  auto workspaceBytes =
      static_cast<int64_t>(program.getProviders().ask(provider, spec).workspaceBytes);
  NamedAttrList attributes(kernelAttributes(op));
  if (isGpuLibrary(provider.name()))
    attributes.set("workspace_bytes", tasks.getI64IntegerAttr(workspaceBytes));
  createLaunch(op, provider.name(), spec.name, inputs, outputs, workspaceBytes,
               attributes.getDictionary(op->getContext()), cost ? cost.getCost().flops : 0);
}

void SegmentLowering::createLaunch(Operation *op, StringRef provider, StringRef kernel,
                                   ArrayRef<Strided> inputs, ArrayRef<Strided> outputs,
                                   int64_t workspaceBytes, DictionaryAttr attributes,
                                   int64_t flops) {
  Location location = op->getLoc();
  auto viewOfPlace = [&](const Strided &place) { return view(location, place); };
  SmallVector<Value> inputViews = llvm::map_to_vector(inputs, viewOfPlace);
  SmallVector<Value> outputViews = llvm::map_to_vector(outputs, viewOfPlace);
  Value workspace;
  if (workspaceBytes > 0) {
    Value buffer =
        program.createBuffer(location, "workspace", plan::Lifetime::Transient, workspaceBytes);
    if (isGpuLibrary(provider))
      buffer.getDefiningOp<plan::BufferOp>().setAlign(runtime::kLibraryWorkspaceAlignment);
    workspace =
        view(location,
             contiguousPlace(buffer, RankedTensorType::get({workspaceBytes}, tasks.getI8Type())));
  }
  plan::LaunchOp::create(tasks, location, provider, kernel, inputViews, outputViews, workspace,
                         overwritableInputs(op), plan::kComputeStream, attributes, flops,
                         phaseOf(op));
}

} // namespace deepshard
