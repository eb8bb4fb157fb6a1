//===- ShardBuckets.cpp - ZeRO: where the bytes of each bucket lie ----------------------------===//
//
// Ranks along the axes of `sharding.zero` hold copies of the same parameters and different summands
// of their gradients. A stage of ZeRO (Rajbhandari et al., arXiv 1910.02054) says which buckets are
// cut over these N ranks instead of copied:
//
//   stage        exp_avg, exp_avg_sq   gradient   parameter
//     0                whole             whole      whole
//     1                own part          whole      whole
//     2                own part         own part    whole
//     3                own part         own part   own part (small ones whole)
//
// Masters of mixed precision lie as exp_avg does; what is gathered are the narrower parameters.
//
// Groups. Bytes may be cut over sub-axes only, with copies over the rest (MiCS), and ranks that
// have other pieces of the same samples (context) hold copies too: the part that a rank has of a
// reduced bucket is then reduced once more, over its copies. Or they are cut over all ranks, but
// the backward gathers from fewer, near ones (hpZ): each keeps a larger part of its own from the
// forward.
//
// Gradients of stage 1 are whole only while they are accumulated as summands (`reduction` =
// "step"); once reduced, the own part is all that is needed, as at stage 2.
//
//   @micro_batch   reduction in each micro-batch: the gradients of a bucket are packed as soon as
//                  the last is computed, reduced, and added to the accumulator once the next
//                  bucket's are (so the reduction has time). Stage 3: a bucket is gathered before
//                  the first use of the one used before it, again for the backward if it is not
//                  kept
//   @update        reduces what is not yet, takes the norm of the own parts, steps on the own part,
//                  gathers whole parameters
//
// The bits do not depend on the stage: every sum over ranks is the same tree, the norm is always
// taken part by part, and the optimizer works element by element. Copies change the norm's parts.
//
// O(ops x buckets) in @micro_batch.
//
//===------------------------------------------------------------------------------------------===//

#include "dialects/sharding/Sharding.h"
#include "passes/sharding/Passes.h"
#include "passes/training/Signature.h"
#include "passes/training/Step.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Remarks.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_SHARDBUCKETS
#include "passes/sharding/Passes.h.inc"

namespace {

using sharding::GroupAttr;
using sharding::LayoutAttr;

/// What both functions need to know about ZeRO.
struct Zero {
  sharding::ZeroAttr options;
  FlatSymbolRefAttr mesh;
  sharding::MeshAttr grid;

  GroupAttr group() const { return GroupAttr::get(mesh, options.getAxes().getAxes()); }
  /// The ranks that hold the same part; null if there is one.
  GroupAttr copies() const { return groupOf(options.getCopies()); }
  int64_t numCopies() const {
    return options.getCopies() ? grid.sizeOf(options.getCopies().getAxes()) : 1;
  }
  /// All ranks that hold summands of the same gradients, copies outermost.
  GroupAttr summands() const {
    SmallVector<sharding::AxisRefAttr> axes;
    if (options.getCopies())
      llvm::append_range(axes, options.getCopies().getAxes());
    llvm::append_range(axes, options.getAxes().getAxes());
    return GroupAttr::get(mesh, grid.canonical(axes));
  }
  bool reduces() const { return parts() > 1 || copies(); }
  /// From whom the backward gathers, if that is not `group`; else null.
  GroupAttr regatherGroup() const { return groupOf(options.getRegatherOver()); }
  int64_t parts() const { return grid.sizeOf(options.getAxes().getAxes()); }
  bool splitsState() const { return parts() > 1 && options.getStage() >= 1; }
  /// Whether parameters of a bucket are cut: not those of small parameters, which are kept whole.
  bool splitsParameters(bool isSmall) const {
    return splitsState() && options.getStage() >= 3 && !isSmall;
  }

  RankedTensorType partType(Type whole) const {
    auto type = cast<RankedTensorType>(whole);
    return RankedTensorType::get({type.getDimSize(0) / parts()}, type.getElementType());
  }
  LayoutAttr layout(bool isCut) const {
    LayoutAttr whole = LayoutAttr::replicated(mesh, 1);
    return isCut ? whole.withAxes(0, options.getAxes().getAxes()) : whole;
  }

  Value reduce(OpBuilder &builder, Location location, Value bucket) const {
    constexpr auto sum = sharding::Reduction::Sum;
    // The bits are those of a part that is reduced first, then over its copies: one tree over all
    // ranks adds so if its halves come down to the copies.
    if (!splitsState() && (parts() == 1 || llvm::isPowerOf2_64(numCopies())))
      return sharding::AllReduceOp::create(builder, location, sum, bucket, summands());
    Value part =
        splitsState()
            ? sharding::ReduceScatterOp::create(builder, location, sum, bucket, group(), 0, grid)
                  .getResult()
            : sharding::AllReduceOp::create(builder, location, sum, bucket, group()).getResult();
    return copies() ? sharding::AllReduceOp::create(builder, location, sum, part, copies()) : part;
  }

private:
  GroupAttr groupOf(sharding::AxisListAttr axes) const {
    return axes && !axes.empty() ? GroupAttr::get(mesh, axes.getAxes()) : GroupAttr();
  }
};

graph::BucketAttr bucketOf(func::FuncOp function, unsigned argument) {
  return function.getArgAttrOfType<graph::BucketAttr>(argument, graph::kBucketAttr);
}

//===------------------------------------------------------------------------------------------===//
// @update
//===------------------------------------------------------------------------------------------===//

class UpdateSharding {
public:
  UpdateSharding(func::FuncOp function, const Zero &zero)
      : function(function), zero(zero), signature(function), listener(kUpdate),
        builder(function.getContext(), &listener), location(function.getLoc()) {
    for (unsigned result = 0; result < function.getNumResults(); ++result)
      if (Attribute state = function.getResultAttr(result, graph::kStateAttr))
        resultsOf[state].push_back(result);
  }

  void run(bool reducesEarly) {
    builder.setInsertionPointToStart(&function.getBody().front());
    for (BlockArgument argument : function.getArguments())
      if (graph::BucketAttr bucket = bucketOf(function, argument.getArgNumber());
          bucket && bucket.getKind().getValue() == "gradient")
        takeGradient(argument, reducesEarly);
    sumOverRanks();
    SmallVector<graph::AdamWOp> steps(function.getBody().getOps<graph::AdamWOp>());
    for (graph::AdamWOp step : steps)
      shard(step);
    signature.commit();
  }

private:
  /// The gradient of the bucket, reduced: whole at stage 0, else the own part.
  void takeGradient(BlockArgument argument, bool reducesEarly) {
    bool isCut = zero.splitsState() && reducesEarly;
    auto uses = llvm::map_to_vector(argument.getUses(), [](OpOperand &use) { return &use; });
    if (isCut)
      argument.setType(zero.partType(argument.getType()));
    signature.argument(argument.getArgNumber()).set(sharding::kLayoutAttr, zero.layout(isCut));
    Value gradient = reducesEarly ? argument : zero.reduce(builder, location, argument);
    for (OpOperand *use : uses) {
      // The norm is a sum over parts at every stage.
      bool isNorm = isa<graph::SumSquaresOp>(use->getOwner());
      bool isWhole = zero.parts() > 1 && !zero.splitsState();
      use->set(isNorm && isWhole ? ownPart(gradient) : gradient);
    }
  }

  Value ownPart(Value bucket) {
    return sharding::LocalSliceOp::create(builder, location, bucket, zero.group(), 0, zero.grid);
  }

  /// Sums of squares of own parts become those of whole buckets; a bucket whose members are cut
  /// over further axes is summed over these too, copies count once.
  void sumOverRanks() {
    SmallVector<graph::SumSquaresOp> squares(function.getBody().getOps<graph::SumSquaresOp>());
    llvm::MapVector<Attribute, SmallVector<graph::SumSquaresOp>> byAxes;
    for (auto [index, op] : llvm::enumerate(squares)) {
      if (index > 0)
        op->moveAfter(squares[index - 1]);
      byAxes[membersAxes(op)].push_back(op);
    }
    builder.setInsertionPointAfter(squares.back());
    for (auto &[axes, ops] : byAxes) {
      Value vector = gathered(ops);
      if (zero.parts() > 1)
        vector = sum(vector, zero.group());
      if (auto list = cast<sharding::AxisListAttr>(axes); !list.empty())
        vector = sum(vector, GroupAttr::get(zero.mesh, list.getAxes()));
      scatter(vector, ops);
    }
  }

  /// The axes over which the members of the bucket that `op` sums are cut.
  sharding::AxisListAttr membersAxes(graph::SumSquaresOp op) {
    Value source = op.getX();
    while (Operation *producer = source.getDefiningOp())
      source = producer->getOperand(0);
    auto axes = function.getArgAttrOfType<sharding::AxisListAttr>(
        cast<BlockArgument>(source).getArgNumber(), sharding::kMembersAxesAttr);
    return axes ? axes : sharding::AxisListAttr::get(function.getContext(), {});
  }

  Value sum(Value vector, GroupAttr group) {
    return sharding::AllReduceOp::create(builder, location, sharding::Reduction::Sum, vector,
                                         group);
  }

  Value gathered(ArrayRef<graph::SumSquaresOp> ops) {
    auto one = RankedTensorType::get({1}, builder.getF64Type());
    SmallVector<Value> elements = llvm::map_to_vector(ops, [&](graph::SumSquaresOp op) -> Value {
      return graph::ReshapeOp::create(builder, location, one, op.getResult());
    });
    return graph::ConcatOp::create(builder, location, elements, 0);
  }

  void scatter(Value vector, ArrayRef<graph::SumSquaresOp> ops) {
    auto scalar = RankedTensorType::get({}, builder.getF64Type());
    for (auto [index, squares] : llvm::enumerate(ops)) {
      graph::SumSquaresOp op = squares;
      int64_t begin = index, end = begin + 1, step = 1;
      Value element = graph::SliceOp::create(builder, location, vector, begin, end, step);
      Value total = graph::ReshapeOp::create(builder, location, scalar, element);
      // The reshape into the vector still reads the own part's.
      op.getResult().replaceUsesWithIf(
          total, [](OpOperand &use) { return !isa<graph::ReshapeOp>(use.getOwner()); });
    }
  }

  void shard(graph::AdamWOp step) {
    // The parameter itself or, where the step has a copy, its master.
    auto parameter = cast<BlockArgument>(step.getParameter());
    bool isSmall =
        function.getArgAttr(parameter.getArgNumber(), sharding::kKeptWholeAttr) != nullptr;
    bool isCopyCut = zero.splitsParameters(isSmall);
    bool isCut = step.getCopy() ? zero.splitsState() : isCopyCut;
    if (Value copy = step.getCopy())
      placeResult(copy, isCopyCut);
    for (Value state : {step.getExpAvg(), step.getExpAvgSq()})
      place(cast<BlockArgument>(state), zero.splitsState());
    Type whole = parameter.getType();
    place(parameter, isCut);
    if (!zero.splitsState())
      return;
    builder.setInsertionPoint(step);
    Value own = isCut ? Value(parameter) : ownPart(parameter);
    IRMapping operands;
    operands.map(parameter, own);
    auto local = cast<graph::AdamWOp>(builder.clone(*step, operands));
    for (Value result : local->getResults())
      result.setType(zero.partType(result.getType()));
    SmallVector<Value> results(local->getResults());
    Value &updated = step.getCopy() ? results.back() : results.front();
    if (!isCopyCut)
      updated = sharding::AllGatherOp::create(builder, location,
                                              step.getCopy() ? step.getCopy().getType() : whole,
                                              updated, zero.group(), 0);
    step->replaceAllUsesWith(ValueRange(results));
    step.erase();
  }

  /// Says where a bucket lies that is a result only.
  void placeResult(Value result, bool isCut) {
    OpOperand &use = *result.getUses().begin();
    signature.result(use.getOperandNumber()).set(sharding::kLayoutAttr, zero.layout(isCut));
  }

  /// Gives a bucket argument, and the result that is its next value, the layout it has.
  void place(BlockArgument argument, bool isCut) {
    unsigned index = argument.getArgNumber();
    if (isCut)
      argument.setType(zero.partType(argument.getType()));
    signature.argument(index).set(sharding::kLayoutAttr, zero.layout(isCut));
    for (unsigned result : resultsOf.lookup(function.getArgAttr(index, graph::kStateAttr)))
      signature.result(result).set(sharding::kLayoutAttr, zero.layout(isCut));
  }

  func::FuncOp function;
  const Zero &zero;
  Signature signature;
  llvm::DenseMap<Attribute, SmallVector<unsigned, 1>> resultsOf; // by state
  PhaseListener listener;
  OpBuilder builder;
  Location location;
};

//===------------------------------------------------------------------------------------------===//
// @micro_batch: gradients
//===------------------------------------------------------------------------------------------===//

/// A bucket of gradients of one micro-batch.
struct GradientBucket {
  int64_t index = 0;
  RankedTensorType type;
  SmallVector<std::pair<int64_t, Value>> members; // offset, gradient of this micro-batch
  Operation *last = nullptr;                      // the op after which all are known
};

class GradientReduction {
public:
  GradientReduction(func::FuncOp function, const Zero &zero, bool accumulates,
                    SmallVector<RankedTensorType> types)
      : function(function), zero(zero), accumulates(accumulates), types(std::move(types)),
        listener(kBackward), builder(function.getContext(), &listener) {}

  void run() {
    collect();
    dropOldPlaces();
    std::vector<GradientBucket *> order;
    for (auto &[index, bucket] : buckets)
      order.push_back(&bucket);
    llvm::stable_sort(order, [](const GradientBucket *a, const GradientBucket *b) {
      return a->last->isBeforeInBlock(b->last);
    });
    signature.emplace(function);
    for (GradientBucket *bucket : order)
      reduce(*bucket);
    builder.setInsertionPoint(terminator());
    finishPrevious();
    signature->commit();
  }

private:
  Operation *terminator() { return function.getBody().front().getTerminator(); }

  void collect() {
    for (OpOperand &returned : terminator()->getOpOperands()) {
      auto member = function.getResultAttrOfType<graph::MemberAttr>(returned.getOperandNumber(),
                                                                    graph::kMemberAttr);
      if (!member || member.getKind().getValue() != "gradient")
        continue;
      GradientBucket &bucket = buckets[member.getIndex()];
      bucket.index = member.getIndex();
      bucket.type = types[member.getIndex()];
      Value gradient = returned.get();
      if (accumulates)
        gradient = summandOf(gradient);
      bucket.members.push_back({member.getOffset(), gradient});
      Operation *producer = gradient.getDefiningOp();
      if (producer && (!bucket.last || bucket.last->isBeforeInBlock(producer)))
        bucket.last = producer;
    }
    for (auto &[index, bucket] : buckets) {
      llvm::sort(bucket.members, [](const auto &a, const auto &b) { return a.first < b.first; });
      if (!bucket.last)
        bucket.last = &function.getBody().front().front();
    }
  }

  /// What `accumulate-gradients` adds to the accumulator.
  static Value summandOf(Value sum) {
    auto add = sum.getDefiningOp<graph::AddOp>();
    assert(add && isa<BlockArgument>(add.getLhs()) && "an accumulated gradient is an addition");
    return add.getRhs();
  }

  /// Gradients are no longer results of their own, nor accumulated one by one.
  void dropOldPlaces() {
    auto isGradient = [](graph::MemberAttr member) {
      return member && member.getKind().getValue() == "gradient";
    };
    llvm::BitVector results(function.getNumResults()), arguments(function.getNumArguments());
    SmallVector<Operation *> sums;
    for (unsigned index = 0; index < results.size(); ++index)
      if (isGradient(function.getResultAttrOfType<graph::MemberAttr>(index, graph::kMemberAttr))) {
        results.set(index);
        if (accumulates)
          sums.push_back(terminator()->getOperand(index).getDefiningOp());
      }
    for (unsigned index = 0; index < arguments.size(); ++index)
      arguments[index] =
          isGradient(function.getArgAttrOfType<graph::MemberAttr>(index, graph::kMemberAttr));
    terminator()->eraseOperands(results);
    (void)function.eraseResults(results);
    for (Operation *sum : sums)
      sum->erase();
    (void)function.eraseArguments(arguments);
  }

  void reduce(GradientBucket &bucket) {
    // One op may complete several buckets: what is reduced first is there to be added first.
    const bool isShared = bucket.last == lastOfPrevious;
    builder.setInsertionPointAfter(isShared ? previous.second.getDefiningOp() : bucket.last);
    lastOfPrevious = bucket.last;
    finishPrevious();
    Location location = bucket.last->getLoc();
    SmallVector<Value> tensors;
    SmallVector<int64_t> offsets;
    for (auto &[offset, gradient] : bucket.members) {
      offsets.push_back(offset);
      tensors.push_back(gradient);
    }
    Value packed = sharding::PackOp::create(builder, location, bucket.type, tensors, offsets);
    previous = {bucket.index, zero.reduce(builder, location, packed)};
  }

  /// Makes the reduced bucket a result, added to the accumulator if there are more micro-batches.
  void finishPrevious() {
    auto [bucket, reduced] = previous;
    if (!reduced)
      return;
    previous = {0, Value()};
    auto name = builder.getStringAttr("gradient." + Twine(bucket));
    SmallVector<NamedAttribute> attributes{
        builder.getNamedAttr(graph::kBucketAttr,
                             graph::BucketAttr::get(builder.getContext(),
                                                    builder.getStringAttr("gradient"), bucket)),
        builder.getNamedAttr(sharding::kLayoutAttr, zero.layout(zero.splitsState()))};
    if (accumulates) {
      attributes.push_back(builder.getNamedAttr(graph::kStateAttr, name));
      Value sum = signature->addArgument(reduced.getType(), builder.getDictionaryAttr(attributes),
                                         reduced.getLoc());
      reduced = graph::AddOp::create(builder, reduced.getLoc(), sum, reduced);
    }
    signature->addResult(reduced, builder.getDictionaryAttr(attributes));
  }

  func::FuncOp function;
  const Zero &zero;
  bool accumulates;
  SmallVector<RankedTensorType> types;
  std::optional<Signature> signature; // without the old places
  PhaseListener listener;
  OpBuilder builder;
  llvm::MapVector<int64_t, GradientBucket> buckets;
  std::pair<int64_t, Value> previous;
  Operation *lastOfPrevious = nullptr;
};

//===------------------------------------------------------------------------------------------===//
// @micro_batch: parameters of stage 3
//===------------------------------------------------------------------------------------------===//

/// A bucket of parameters that is cut.
struct ParameterBucket {
  int64_t index = 0;
  RankedTensorType type; // whole
  SmallVector<unsigned> arguments;
};

class ParameterGathers {
public:
  ParameterGathers(func::FuncOp function, const Zero &zero)
      : function(function), zero(zero), signature(function) {}

  void run(llvm::MapVector<int64_t, ParameterBucket> &buckets) {
    StringRef mode = zero.options.getGather().getValue();
    if (mode == "step")
      return gatherOnce(buckets);
    // The shards, behind the other arguments.
    for (auto &[index, bucket] : buckets)
      addShard(bucket);
    if (mode == "regather") {
      gather(buckets, kForward);
      gather(buckets, kBackward);
    } else {
      gather(buckets, {});
    }
    signature.commit();
    eraseArguments(buckets);
  }

private:
  DictionaryAttr bucketAttributes(const ParameterBucket &bucket, StringRef kind, bool isCut) {
    Builder builder(function.getContext());
    return builder.getDictionaryAttr(
        {builder.getNamedAttr(graph::kBucketAttr,
                              graph::BucketAttr::get(builder.getContext(),
                                                     builder.getStringAttr(kind), bucket.index)),
         builder.getNamedAttr(sharding::kLayoutAttr, zero.layout(isCut))});
  }

  /// The own part as an argument, which carries what the members' arguments said.
  void addShard(ParameterBucket &bucket) {
    Builder builder(function.getContext());
    SmallVector<Attribute> members;
    for (unsigned argument : bucket.arguments) {
      NamedAttrList attributes(function.getArgAttrDict(argument));
      attributes.set(graph::kTypeAttr, TypeAttr::get(function.getArgument(argument).getType()));
      members.push_back(attributes.getDictionary(builder.getContext()));
    }
    NamedAttrList attributes(bucketAttributes(bucket, "parameter", /*isCut=*/true));
    attributes.set(graph::kMembersAttr, builder.getArrayAttr(members));
    shards[bucket.index] = signature.addArgument(
        zero.partType(bucket.type), attributes.getDictionary(builder.getContext()),
        function.getArgument(bucket.arguments[0]).getLoc());
  }

  /// Gathers every bucket for its uses in `phase` (all uses if that is empty): before the first use
  /// of the bucket used before it, so that the gather has time.
  void gather(llvm::MapVector<int64_t, ParameterBucket> &buckets, StringRef phase) {
    struct Use {
      ParameterBucket *bucket;
      Operation *first;
    };
    std::vector<Use> order;
    for (auto &[index, bucket] : buckets)
      if (Operation *first = firstUse(bucket, phase))
        order.push_back({&bucket, first});
    llvm::stable_sort(order, [](const Use &a, const Use &b) {
      return a.first != b.first && a.first->isBeforeInBlock(b.first);
    });
    for (auto [position, use] : llvm::enumerate(order))
      gather(*use.bucket, phase, order[position == 0 ? 0 : position - 1].first);
  }

  static bool isIn(Operation *op, StringRef phase) {
    auto attribute = op->getAttrOfType<StringAttr>(graph::kPhaseAttr);
    return phase.empty() || (attribute && attribute.getValue() == phase);
  }

  Operation *firstUse(const ParameterBucket &bucket, StringRef phase) {
    Operation *first = nullptr;
    for (unsigned argument : bucket.arguments)
      for (Operation *user : function.getArgument(argument).getUsers())
        if (isIn(user, phase) && (!first || user->isBeforeInBlock(first)))
          first = user;
    return first;
  }

  void gather(ParameterBucket &bucket, StringRef phase, Operation *before) {
    PhaseListener listener(phase.empty() ? StringRef(kForward) : phase);
    OpBuilder builder(before, &listener);
    Location location = shards[bucket.index].getLoc();
    Value whole;
    if (phase == kBackward && zero.regatherGroup() && forwards.contains(bucket.index))
      whole = sharding::AllGatherOp::create(builder, location, bucket.type, keptPart(bucket),
                                            zero.regatherGroup(), 0);
    else
      whole = sharding::AllGatherOp::create(builder, location, bucket.type, shards[bucket.index],
                                            zero.group(), 0);
    if (phase == kForward)
      forwards[bucket.index] = whole;
    for (unsigned index : bucket.arguments) {
      BlockArgument argument = function.getArgument(index);
      auto member = function.getArgAttrOfType<graph::MemberAttr>(index, graph::kMemberAttr);
      auto type = cast<RankedTensorType>(argument.getType());
      int64_t begin = member.getOffset(), end = begin + type.getNumElements();
      int64_t step = 1;
      Value flat = graph::SliceOp::create(builder, argument.getLoc(), whole, begin, end, step);
      Value tensor = graph::ReshapeOp::create(builder, argument.getLoc(), type, flat);
      argument.replaceUsesWithIf(tensor, [&](OpOperand &use) {
        return use.getOwner() != tensor.getDefiningOp() && isIn(use.getOwner(), phase);
      });
    }
  }

  /// This rank's part over the regather group of what the forward gathered: a copy, so that the
  /// whole can go.
  Value keptPart(const ParameterBucket &bucket) {
    Value whole = forwards.lookup(bucket.index);
    PhaseListener listener(kForward);
    OpBuilder builder(whole.getContext(), &listener);
    builder.setInsertionPointAfterValue(whole);
    Value part = sharding::LocalSliceOp::create(builder, whole.getLoc(), whole,
                                                zero.regatherGroup(), 0, zero.grid);
    return sharding::PackOp::create(builder, whole.getLoc(), part.getType(), ValueRange(part),
                                    ArrayRef<int64_t>{0});
  }

  void eraseArguments(const llvm::MapVector<int64_t, ParameterBucket> &buckets) {
    llvm::BitVector gone(function.getNumArguments());
    for (auto &[index, bucket] : buckets)
      for (unsigned argument : bucket.arguments)
        gone.set(argument);
    (void)function.eraseArguments(gone);
  }

  /// A function of its own, run once a step: whole buckets that live for the step.
  void gatherOnce(llvm::MapVector<int64_t, ParameterBucket> &buckets) {
    OpBuilder builder(function);
    PhaseListener listener(kForward);
    SmallVector<Type> arguments, results;
    SmallVector<DictionaryAttr> argumentAttrs, resultAttrs;
    for (auto &[index, bucket] : buckets) {
      arguments.push_back(zero.partType(bucket.type));
      argumentAttrs.push_back(bucketAttributes(bucket, "parameter", /*isCut=*/true));
      results.push_back(bucket.type);
      resultAttrs.push_back(bucketAttributes(bucket, "gathered", /*isCut=*/false));
      for (unsigned argument : bucket.arguments) {
        auto member = function.getArgAttrOfType<graph::MemberAttr>(argument, graph::kMemberAttr);
        signature.argument(argument).set(
            graph::kMemberAttr,
            graph::MemberAttr::get(builder.getContext(), builder.getStringAttr("gathered"),
                                   member.getIndex(), member.getOffset()));
      }
    }
    signature.commit();
    auto gather = func::FuncOp::create(builder, function.getLoc(), kGatherName,
                                       builder.getFunctionType(arguments, results));
    gather.setAllArgAttrs(argumentAttrs);
    gather.setAllResultAttrs(resultAttrs);
    builder.setInsertionPointToStart(gather.addEntryBlock());
    builder.setListener(&listener);
    SmallVector<Value> whole;
    for (auto [argument, type] : llvm::zip_equal(gather.getArguments(), results))
      whole.push_back(sharding::AllGatherOp::create(builder, function.getLoc(), type, argument,
                                                    zero.group(), 0));
    builder.setListener(nullptr);
    func::ReturnOp::create(builder, function.getLoc(), whole);
  }

  func::FuncOp function;
  const Zero &zero;
  Signature signature;
  llvm::DenseMap<int64_t, BlockArgument> shards;
  llvm::DenseMap<int64_t, Value> forwards; // what the forward gathered
};

struct ShardBucketsPass : impl::ShardBucketsBase<ShardBucketsPass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    sharding::MeshOp meshOp = sharding::onlyMesh(module);
    auto options = module->getAttrOfType<sharding::ZeroAttr>(sharding::kZeroAttr);
    auto microBatch = module.lookupSymbol<func::FuncOp>(kMicroBatchName);
    auto update = module.lookupSymbol<func::FuncOp>(kUpdateName);
    if (!meshOp || !options || meshOp.getAxes().getRanks() == 1)
      return;
    if (!microBatch || !update) {
      module.emitError("expects @micro_batch and @update; run create-update first");
      return signalPassFailure();
    }
    Zero zero{options, FlatSymbolRefAttr::get(meshOp.getSymNameAttr()), meshOp.getAxes()};
    FailureOr<int64_t> steps = accumulationSteps(module);
    if (failed(steps))
      return signalPassFailure();
    // Of one micro-batch both ways are the same sums; reducing in it overlaps with the backward.
    bool reducesEarly = *steps == 1 || options.getReduction().getValue() == "micro_batch";
    if (zero.reduces()) {
      llvm::MapVector<int64_t, ParameterBucket> cut;
      if (reducesEarly)
        GradientReduction(microBatch, zero, *steps > 1, bucketTypes(update, "gradient")).run();
      findCut(microBatch, update, zero, cut);
      if (!cut.empty())
        ParameterGathers(microBatch, zero).run(cut);
    }
    UpdateSharding(update, zero).run(reducesEarly || !zero.reduces());
  }

  static void sayKeptWhole(BlockArgument argument) {
    auto function = cast<func::FuncOp>(argument.getOwner()->getParentOp());
    auto name =
        function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), graph::kParameterAttr);
    auto elements = cast<RankedTensorType>(argument.getType()).getNumElements();
    remark::missed(argument.getLoc(), remark::RemarkOpts::name("kept-whole").category("zero"))
        << (name.getValue() + " is kept whole on every rank; its " + Twine(elements) +
            " numbers are not above stage3_param_persistence_threshold")
               .str();
  }

  /// Types of whole buckets of a kind, by index.
  static SmallVector<RankedTensorType> bucketTypes(func::FuncOp update, StringRef kind) {
    SmallVector<RankedTensorType> types;
    auto note = [&](graph::BucketAttr bucket, Type type) {
      if (!bucket || bucket.getKind().getValue() != kind)
        return;
      types.resize(std::max<size_t>(types.size(), bucket.getIndex() + 1));
      types[bucket.getIndex()] = cast<RankedTensorType>(type);
    };
    for (BlockArgument argument : update.getArguments())
      note(bucketOf(update, argument.getArgNumber()), argument.getType());
    for (auto [index, type] : llvm::enumerate(update.getResultTypes()))
      note(update.getResultAttrOfType<graph::BucketAttr>(index, graph::kBucketAttr), type);
    return types;
  }

  /// The buckets whose parameters are cut.
  static void findCut(func::FuncOp microBatch, func::FuncOp update, const Zero &zero,
                      llvm::MapVector<int64_t, ParameterBucket> &cut) {
    SmallVector<RankedTensorType> types = bucketTypes(update, "parameter");
    llvm::DenseSet<int64_t> small;
    for (BlockArgument argument : update.getArguments())
      if (graph::BucketAttr bucket = bucketOf(update, argument.getArgNumber());
          bucket && update.getArgAttr(argument.getArgNumber(), sharding::kKeptWholeAttr))
        small.insert(bucket.getIndex());
    for (unsigned index = 0; index < microBatch.getNumArguments(); ++index) {
      auto member = microBatch.getArgAttrOfType<graph::MemberAttr>(index, graph::kMemberAttr);
      if (!member || member.getKind().getValue() != "parameter" || !zero.splitsParameters(false))
        continue;
      if (small.contains(member.getIndex())) {
        sayKeptWhole(microBatch.getArgument(index));
        continue;
      }
      ParameterBucket &bucket = cut[member.getIndex()];
      bucket.index = member.getIndex();
      bucket.type = types[member.getIndex()];
      bucket.arguments.push_back(index);
    }
  }
};

} // namespace
} // namespace deepshard
