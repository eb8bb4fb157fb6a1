//===- CreateUpdate.cpp - buckets, and the function that runs once per step -------------------===//

#include "passes/training/Buckets.h"
#include "passes/training/Passes.h"
#include "passes/training/Step.h"

#include "llvm/ADT/StringMap.h"

#include <array>

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

/// Builds @update: arguments per bucket, then learning rate and step.
class UpdateBuilder {
public:
  UpdateBuilder(ModuleOp module, ArrayRef<Bucket> buckets, graph::AdamWAttr optimizer,
                double clipping)
      : buckets(buckets), optimizer(optimizer), clipping(clipping), listener(kUpdate),
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
    results.push_back(f64);
    resultAttrs.push_back(oneString(graph::kMetricAttr, "grad_norm"));

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
    Value norm = buildNorm(function), clip = buildClip(norm);
    Value learningRate = function.getArgument(buckets.size() * kSlots);
    Value updateStep = function.getArgument(buckets.size() * kSlots + 1);
    SmallVector<Value> results;
    for (unsigned bucket = 0; bucket < buckets.size(); ++bucket) {
      auto step = graph::AdamWOp::create(
          builder, location, argument(bucket, kParameterSlot), argument(bucket, kGradientSlot),
          argument(bucket, kExpAvgSlot), argument(bucket, kExpAvgSqSlot), learningRate, updateStep,
          clip, optimizer.getBeta1(), optimizer.getBeta2(), optimizer.getEps(),
          optimizer.getWeightDecay(), builder.getBoolAttr(optimizer.getBiasCorrection()),
          builder.getBoolAttr(optimizer.getAdamWMode()), copyType(buckets[bucket]));
      llvm::append_range(results, step->getResults());
    }
    results.push_back(norm);
    builder.setListener(nullptr);
    func::ReturnOp::create(builder, location, results);
  }

  static TypeAttr copyType(const Bucket &bucket) {
    return hasMaster(bucket) ? TypeAttr::get(bucket.elementType) : TypeAttr();
  }

  /// The square root of the sum over buckets, in bucket order, of the sums of squares.
  Value buildNorm(func::FuncOp function) {
    Value total;
    for (unsigned bucket = 0; bucket < buckets.size(); ++bucket) {
      Value squares = graph::SumSquaresOp::create(
          builder, location, function.getArgument(bucket * kSlots + kGradientSlot));
      total = total ? graph::AddOp::create(builder, location, total, squares).getResult() : squares;
    }
    return graph::SqrtOp::create(builder, location, total);
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
    UpdateBuilder(getOperation(), buckets, optimizer, clipping).build();
  }

  /// Reads the options of the module and what the function must hold.
  LogicalResult check(func::FuncOp function) {
    ModuleOp module = getOperation();
    LogicalResult result = success();
    optimizer = module->getAttrOfType<graph::AdamWAttr>(graph::kOptimizerAttr);
    if (!optimizer)
      result = emitError(module.getLoc())
               << "expected '" << graph::kOptimizerAttr << "' = #graph.adamw<...>; a step needs an "
               << "optimizer";
    clipping = 0;
    if (Attribute attribute = module->getAttr(graph::kClippingAttr)) {
      auto number = dyn_cast<FloatAttr>(attribute);
      clipping = number ? number.getValueAsDouble() : -1;
      if (!(clipping >= 0))
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
    llvm::StringMap<graph::MemberAttr> gradients;
    for (auto [index, bucket] : llvm::enumerate(buckets)) {
      for (const BucketMember &member : bucket.members) {
        auto place = [&](StringRef kind) {
          return graph::MemberAttr::get(&getContext(), builder.getStringAttr(kind), index,
                                        member.offset);
        };
        function.setArgAttr(member.argument, graph::kMemberAttr, place(kParameterKind));
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
      function.setResultAttr(index, graph::kMemberAttr, member);
      accumulators[resultString(function, index, graph::kStateAttr)] = member;
    }
    for (unsigned index = 0; index < function.getNumArguments(); ++index)
      if (StringRef state = argumentString(function, index, graph::kStateAttr); !state.empty())
        if (graph::MemberAttr member = accumulators.lookup(state))
          function.setArgAttr(index, graph::kMemberAttr, member);
  }

  graph::AdamWAttr optimizer;
  double clipping = 0;
};

} // namespace
} // namespace deepshard
