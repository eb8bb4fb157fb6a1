//===- CreateUpdate.cpp - buckets, and the function that runs once per step -------------------===//

#include "passes/training/Buckets.h"
#include "passes/training/Passes.h"
#include "passes/training/Signature.h"
#include "passes/training/Step.h"

#include "llvm/ADT/StringMap.h"

#include <array>
#include <limits>

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_CREATEUPDATE
#include "passes/training/Passes.h.inc"

namespace {

constexpr llvm::StringLiteral kParameterKind = "parameter";
constexpr llvm::StringLiteral kMasterKind = "master";
constexpr llvm::StringLiteral kGradientKind = "gradient";
constexpr llvm::StringLiteral kExpAvgKind = "exp_avg";
constexpr llvm::StringLiteral kExpAvgSqKind = "exp_avg_sq";

/// The operands that the update has for each bucket, in this order: the parameters or their
/// masters, gradient, moments; all but the gradient are also results. Parameters that are copies of
/// masters are a further result.
constexpr unsigned kParameterSlot = 0, kGradientSlot = 1, kExpAvgSlot = 2, kExpAvgSqSlot = 3,
                   kSlots = 4;

/// The state of the loss scale: how many numbers, and which are the scale and the steps skipped.
constexpr int64_t kScaleNumbers = 4, kScaleNumber = 0, kSkippedNumber = 3;

/// What torch.nn.utils.clip_grad_norm_ adds to the norm before it divides.
constexpr double kClipEpsilon = 1e-6;

RankedTensorType bucketType(const Bucket &bucket, Type elementType) {
  return RankedTensorType::get({bucket.size}, elementType);
}

bool hasMaster(const Bucket &bucket) { return bucket.master != bucket.elementType; }

std::array<StringRef, kSlots> kindsOf(const Bucket &bucket) {
  return {hasMaster(bucket) ? kMasterKind : kParameterKind, kGradientKind, kExpAvgKind,
          kExpAvgSqKind};
}

/// What the module says of the update.
struct UpdateOptions {
  graph::AdamWAttr optimizer;
  double clipping = 0;
  graph::LossScaleAttr lossScale; ///< null: the loss is not scaled
};

/// Builds @update: arguments per bucket, then learning rate and step, then the state of the loss
/// scale.
class UpdateBuilder {
public:
  UpdateBuilder(ModuleOp module, ArrayRef<Bucket> buckets, const UpdateOptions &options)
      : buckets(buckets), optimizer(options.optimizer), clipping(options.clipping),
        lossScale(options.lossScale), listener(kUpdate),
        builder(OpBuilder::atBlockEnd(module.getBody())), location(module.getLoc()) {}

  void build() {
    auto f64 = RankedTensorType::get({}, builder.getF64Type()),
         i64 = RankedTensorType::get({}, builder.getI64Type());
    SmallVector<Type> arguments, results;
    SmallVector<DictionaryAttr> argumentAttrs, resultAttrs;
    for (auto [index, bucket] : llvm::enumerate(buckets)) {
      for (StringRef kind : kindsOf(bucket)) {
        arguments.push_back(bucketType(bucket, bucket.master));
        argumentAttrs.push_back(argumentAttributes(bucket, kind, index));
        if (kind != kGradientKind) {
          results.push_back(bucketType(bucket, bucket.master));
          resultAttrs.push_back(bucketAttributes(kind, index, /*isState=*/true));
        }
      }
      if (hasMaster(bucket)) {
        results.push_back(bucketType(bucket, bucket.elementType));
        resultAttrs.push_back(bucketAttributes(kParameterKind, index, /*isState=*/false));
      }
    }
    llvm::append_range(arguments, ArrayRef<Type>{f64, i64});
    argumentAttrs.push_back(oneString(graph::kRunStateAttr, graph::kLearningRate));
    argumentAttrs.push_back(oneString(graph::kRunStateAttr, graph::kUpdateStep));
    auto addMetric = [&](StringRef name) {
      results.push_back(f64);
      resultAttrs.push_back(oneString(graph::kMetricAttr, name));
    };
    addMetric("grad_norm");
    if (lossScale) {
      auto state = RankedTensorType::get({kScaleNumbers}, builder.getF64Type());
      arguments.push_back(state);
      results.push_back(state);
      for (auto *attributes : {&argumentAttrs, &resultAttrs})
        attributes->push_back(bucketAttributes(graph::kLossScaleKind, 0, /*isState=*/true));
      for (StringRef name : {"loss_scale", "overflow", "skipped_steps"})
        addMetric(name);
    }

    auto function = func::FuncOp::create(builder, location, kUpdateName,
                                         builder.getFunctionType(arguments, results));
    function.setAllArgAttrs(argumentAttrs);
    function.setAllResultAttrs(resultAttrs);
    builder.setInsertionPointToStart(function.addEntryBlock());
    buildBody(function);
  }

private:
  DictionaryAttr oneString(StringRef name, StringRef value) {
    return builder.getDictionaryAttr(builder.getNamedAttr(name, builder.getStringAttr(value)));
  }

  DictionaryAttr bucketAttributes(StringRef kind, int64_t index, bool isState) {
    SmallVector<NamedAttribute> attributes{builder.getNamedAttr(
        graph::kBucketAttr,
        graph::BucketAttr::get(builder.getContext(), builder.getStringAttr(kind), index))};
    if (isState)
      attributes.push_back(builder.getNamedAttr(graph::kStateAttr,
                                                builder.getStringAttr(kind + "." + Twine(index))));
    return builder.getDictionaryAttr(attributes);
  }

  /// Arguments also say what `shard-buckets` has to know of the members.
  DictionaryAttr argumentAttributes(const Bucket &bucket, StringRef kind, int64_t index) {
    NamedAttrList attributes(bucketAttributes(kind, index, kind != kGradientKind));
    if (!bucket.axes.empty())
      attributes.set(sharding::kMembersAxesAttr, bucket.axes);
    if (bucket.keptWhole)
      attributes.set(sharding::kKeptWholeAttr, builder.getUnitAttr());
    return attributes.getDictionary(builder.getContext());
  }

  void buildBody(func::FuncOp function) {
    builder.setListener(&listener);
    auto argument = [&](unsigned bucket, unsigned slot) {
      return function.getArgument(bucket * kSlots + slot);
    };
    Value total = buildSumOfSquares(function), finite, scale, state;
    Value norm = graph::SqrtOp::create(builder, location, total);
    if (lossScale) {
      state = function.getArguments().back();
      scale = scaleNumber(state, kScaleNumber);
      finite = graph::CompareOp::create(builder, location, "lt", total,
                                        constant(std::numeric_limits<double>::infinity()));
      norm = graph::DivOp::create(builder, location, norm, scale);
    }
    Value clip = buildClip(norm);
    if (lossScale)
      clip = graph::DivOp::create(builder, location, clip, scale);
    Value learningRate = function.getArgument(buckets.size() * kSlots);
    Value updateStep = function.getArgument(buckets.size() * kSlots + 1);
    SmallVector<Value> results;
    for (unsigned bucket = 0; bucket < buckets.size(); ++bucket) {
      auto step = graph::AdamWOp::create(
          builder, location, argument(bucket, kParameterSlot), argument(bucket, kGradientSlot),
          argument(bucket, kExpAvgSlot), argument(bucket, kExpAvgSqSlot), learningRate, updateStep,
          clip, finite, optimizer.getBeta1(), optimizer.getBeta2(), optimizer.getEps(),
          optimizer.getWeightDecay(), builder.getBoolAttr(optimizer.getBiasCorrection()),
          builder.getBoolAttr(optimizer.getAdamWMode()), copyType(buckets[bucket]));
      llvm::append_range(results, step->getResults());
    }
    results.push_back(norm);
    if (lossScale)
      buildScaleUpdate(state, finite, results);
    builder.setListener(nullptr);
    func::ReturnOp::create(builder, location, results);
  }

  static TypeAttr copyType(const Bucket &bucket) {
    return hasMaster(bucket) ? TypeAttr::get(bucket.elementType) : TypeAttr();
  }

  /// The next state and the metrics.
  void buildScaleUpdate(Value state, Value finite, SmallVectorImpl<Value> &results) {
    Value next = graph::UpdateLossScaleOp::create(
        builder, location, state, finite, lossScale.getWindow(), lossScale.getHysteresis(),
        lossScale.getConsecutiveHysteresis(), lossScale.getMinimum().getValue());
    Value overflows = graph::NotOp::create(builder, location, finite);
    auto f64 = RankedTensorType::get({}, builder.getF64Type());
    results.append({next, scaleNumber(next, kScaleNumber),
                    graph::ConvertOp::create(builder, location, f64, overflows),
                    scaleNumber(next, kSkippedNumber)});
  }

  Value scaleNumber(Value state, int64_t index) {
    int64_t end = index + 1, step = 1;
    Value element = graph::SliceOp::create(builder, location, state, index, end, step);
    auto f64 = RankedTensorType::get({}, builder.getF64Type());
    return graph::ReshapeOp::create(builder, location, f64, element);
  }

  /// The sum over buckets, in bucket order, of the sums of squares.
  Value buildSumOfSquares(func::FuncOp function) {
    Value total;
    for (unsigned bucket = 0; bucket < buckets.size(); ++bucket) {
      Value squares = graph::SumSquaresOp::create(
          builder, location, function.getArgument(bucket * kSlots + kGradientSlot));
      total = total ? graph::AddOp::create(builder, location, total, squares).getResult() : squares;
    }
    return total;
  }

  Value constant(double value) {
    auto type = RankedTensorType::get({}, builder.getF64Type());
    return graph::ConstantOp::create(builder, location,
                                     DenseElementsAttr::get(type, builder.getF64FloatAttr(value)));
  }

  /// min(1, C / (norm + 1e-6)), or 1 where nothing is clipped.
  Value buildClip(Value norm) {
    Value one = constant(1.0);
    if (clipping == 0)
      return one;
    Value above = graph::AddOp::create(builder, location, norm, constant(kClipEpsilon));
    Value ratio = graph::DivOp::create(builder, location, constant(clipping), above);
    return graph::MinimumOp::create(builder, location, one, ratio);
  }

  ArrayRef<Bucket> buckets;
  graph::AdamWAttr optimizer;
  double clipping;
  graph::LossScaleAttr lossScale;
  PhaseListener listener;
  OpBuilder builder;
  Location location;
};

struct CreateUpdatePass : impl::CreateUpdateBase<CreateUpdatePass> {
  using CreateUpdateBase::CreateUpdateBase;

  void runOnOperation() override {
    func::FuncOp function = findForward(getOperation());
    if (!function || failed(check(function)))
      return signalPassFailure();
    SmallVector<Bucket> buckets = assignBuckets(function, bucketSize);
    markMembers(function, buckets);
    function.setSymName(kMicroBatchName);
    UpdateBuilder(getOperation(), buckets, options).build();
  }

  /// Reads the options of the module and what the function must hold.
  LogicalResult check(func::FuncOp function) {
    ModuleOp module = getOperation();
    LogicalResult result = success();
    options = {module->getAttrOfType<graph::AdamWAttr>(graph::kOptimizerAttr), 0,
               module->getAttrOfType<graph::LossScaleAttr>(graph::kLossScaleAttr)};
    if (!options.optimizer)
      result = emitError(module.getLoc())
               << "expected '" << graph::kOptimizerAttr << "' = #graph.adamw<...>; a step needs an "
               << "optimizer";
    if (Attribute attribute = module->getAttr(graph::kClippingAttr)) {
      auto number = dyn_cast<FloatAttr>(attribute);
      options.clipping = number ? number.getValueAsDouble() : -1;
      if (!(options.clipping >= 0))
        result = emitError(module.getLoc()) << "'" << graph::kClippingAttr << "' is " << attribute
                                            << "; expected a number that is not negative";
    }
    if (bucketSize < 1)
      result = emitError(module.getLoc())
               << "bucket-size is " << bucketSize << "; expected at least 1";
    for (StringRef taken : {kMicroBatchName, kUpdateName})
      if (module.lookupSymbol(taken))
        result = emitError(module.getLoc()) << "has a function @" << taken << " already";
    if (!hasGradients(function))
      result = emitError(
          function.getLoc(),
          "@forward has no gradients; run 'differentiate' on a model with parameters first");
    return failed(checkGradients(function)) ? failure() : result;
  }

  /// Each gradient names a parameter of its type, or of its master's.
  LogicalResult checkGradients(func::FuncOp function) {
    LogicalResult result = success();
    llvm::StringMap<Type> gradients;
    for (unsigned index = 0; index < function.getNumResults(); ++index)
      if (StringRef name = resultString(function, index, graph::kGradientAttr); !name.empty())
        gradients[name] = function.getResultTypes()[index];
    for (BlockArgument argument : function.getArguments()) {
      StringRef name = argumentString(function, argument.getArgNumber(), graph::kParameterAttr);
      if (name.empty())
        continue;
      RankedTensorType expected = gradientType(function, argument);
      if (gradients.lookup(name) != expected)
        result = emitError(function.getLoc())
                 << "parameter '" << name << "' of " << argument.getType() << " has no gradient of "
                 << expected;
    }
    return result;
  }

  void markMembers(func::FuncOp function, ArrayRef<Bucket> buckets) {
    Builder builder(&getContext());
    Signature signature(function);
    llvm::StringMap<graph::MemberAttr> gradients;
    for (auto [index, bucket] : llvm::enumerate(buckets)) {
      for (const BucketMember &member : bucket.members) {
        auto place = [&](StringRef kind) {
          return graph::MemberAttr::get(&getContext(), builder.getStringAttr(kind), index,
                                        member.offset);
        };
        signature.argument(member.argument).set(graph::kMemberAttr, place(kParameterKind));
        gradients[argumentString(function, member.argument, graph::kParameterAttr)] =
            place(kGradientKind);
      }
    }
    llvm::StringMap<graph::MemberAttr> accumulators;
    for (unsigned index = 0; index < function.getNumResults(); ++index) {
      graph::MemberAttr member =
          gradients.lookup(resultString(function, index, graph::kGradientAttr));
      if (!member)
        continue;
      signature.result(index).set(graph::kMemberAttr, member);
      accumulators[resultString(function, index, graph::kStateAttr)] = member;
    }
    for (unsigned index = 0; index < function.getNumArguments(); ++index)
      if (StringRef state = argumentString(function, index, graph::kStateAttr); !state.empty())
        if (graph::MemberAttr member = accumulators.lookup(state))
          signature.argument(index).set(graph::kMemberAttr, member);
    signature.commit();
  }

  UpdateOptions options;
};

} // namespace
} // namespace deepshard
