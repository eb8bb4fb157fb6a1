//===- ModelsTest.cpp - found layouts of whole models against Megatron's ----------------------===//
//
// Each model is planned with the passes of ds-opt: with the layouts that Megatron gives its
// parameters, and with none, so that the search finds them.
//
// At the size of real models (nothing is executed) the found plan may neither communicate more
// bytes nor take longer, and takes what the search thought. Both are counted on the programs of a
// rank, op by op and collective by collective; the search counts on the whole model.
//
// At a small size the plans run on simulated ranks, and have to give the loss and the gradients of
// the whole model on one rank.
//
//===------------------------------------------------------------------------------------------===//

#include "test/unit/planner/Models.h"
#include "test/unit/planner/RandomArguments.h"
#include "test/unit/sharding/Testing.h"

#include "dialects/graph/Interpreter.h"
#include "passes/planner/LayoutNetwork.h"
#include "passes/planner/Passes.h"
#include "passes/sharding/Passes.h"
#include "passes/training/Passes.h"

#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>

using namespace mlir;

namespace deepshard::sharding {
namespace {

using graph::HostTensor;

struct Kind {
  const char *name;
  std::string (*realistic)(int64_t batch);
  int64_t batch; // of some thousand tokens
  std::string (*small)(ModelPrecision);
  std::vector<Pin> (*megatron)();
};

// Of far smaller micro-batches the fastest plan may receive more than Megatron's: it splits what
// that computes on every rank, and is done sooner. That of least traffic may not.
const Kind kKinds[] = {
    {"Llama",
     [](int64_t batch) {
       return llama({2, 1024, 16, 4, 2816, 32000, batch, 512}, ModelPrecision::F32);
     },
     8, [](ModelPrecision precision) { return llama({2, 32, 8, 4, 48, 64, 4, 8}, precision); },
     llamaPins},
    {"BertTied",
     [](int64_t batch) {
       return bert({2, 768, 12, 3072, 30522, batch, 256, true}, ModelPrecision::F32);
     },
     16, [](ModelPrecision precision) { return bert({2, 32, 4, 64, 46, 4, 8, true}, precision); },
     bertPins},
    {"BertUntied",
     [](int64_t batch) {
       return bert({2, 768, 12, 3072, 30522, batch, 256, false}, ModelPrecision::F32);
     },
     16, [](ModelPrecision precision) { return bert({1, 32, 4, 64, 48, 4, 8, false}, precision); },
     bertPins},
    {"VitConvolution",
     [](int64_t batch) {
       return vit({2, 768, 12, 3072, 1000, batch, 224, 16, true}, ModelPrecision::F32);
     },
     16, [](ModelPrecision precision) { return vit({2, 32, 4, 64, 16, 4, 8, 4, true}, precision); },
     vitPins},
    {"VitLinear",
     [](int64_t batch) {
       return vit({2, 768, 12, 3072, 1000, batch, 224, 16, false}, ModelPrecision::F32);
     },
     16,
     [](ModelPrecision precision) { return vit({1, 32, 4, 64, 16, 4, 8, 4, false}, precision); },
     vitPins},
    {"Moe",
     [](int64_t batch) { return moe({2, 1024, 16, 8, 4096, batch, 512}, ModelPrecision::F32); }, 16,
     [](ModelPrecision precision) { return moe({2, 32, 4, 4, 48, 4, 8}, precision); }, moePins},
};

struct Grid {
  int data, tensor;
};
constexpr Grid kGrids[] = {{1, 2}, {1, 4}, {2, 2}, {2, 4}};

/// What choose-layouts is told.
struct Machine {
  const char *name;
  double tflops, memoryGbPerS, latencyUs, linkGbPerS;
};
constexpr Machine kHost = {"host", 0.05, 8, 2, 4};
constexpr Machine kH100 = {"H100", 60, 3350, 3, 450};
/// Moving costs nearly nothing: every op is split.
constexpr Machine kFastLinks = {"fast links", 0.05, 8, 0.001, 1000};

/// What a rank does in a step.
struct Step {
  int64_t collectives = 0; // bytes received by those of the program
  int64_t gradients = 0;   // and by the reduction of what comes out as summands
  double seconds = 0;

  int64_t bytes() const { return collectives + gradients; }
  std::string text() const {
    return std::to_string(bytes()) + " bytes (" + std::to_string(gradients) + " for gradients), " +
           std::to_string(seconds * 1e3) + " ms";
  }
};

class ModelsTest : public ShardingTest, public testing::WithParamInterface<std::tuple<Kind, Grid>> {
protected:
  ModelsTest() : symbol(FlatSymbolRefAttr::get(&context, "mesh")) {
    auto [data, tensor] = std::get<Grid>(GetParam());
    axes = "[\"data\" = " + std::to_string(data) + ", \"tensor\" = " + std::to_string(tensor) + "]";
    grid = mesh(axes);
  }

  const Kind &kind() const { return std::get<Kind>(GetParam()); }

  int64_t dataRanks() { return grid.sizeOf({AxisRefAttr::get(&context, "data")}); }

  static func::FuncOp forward(const OwningOpRef<ModuleOp> &module) {
    return module.get().lookupSymbol<func::FuncOp>("forward");
  }

  //===----------------------------------------------------------------------------------------===//
  // Plans
  //===----------------------------------------------------------------------------------------===//

  LayoutAttr layoutFrom(const std::vector<std::vector<std::string>> &dims) {
    LayoutAttr layout = LayoutAttr::replicated(symbol, static_cast<int64_t>(dims.size()));
    for (auto [dim, names] : llvm::enumerate(dims)) {
      SmallVector<AxisRefAttr> list;
      for (const std::string &name : names)
        list.push_back(AxisRefAttr::get(&context, StringRef(name)));
      layout = layout.withAxes(dim, grid.canonical(list)); // without axes of one rank
    }
    return layout;
  }

  /// Cuts the inputs over "data" and gives parameters the layout of the first pin that fits.
  void pin(func::FuncOp function, const std::vector<Pin> &pins) {
    for (BlockArgument argument : function.getArguments()) {
      const unsigned index = argument.getArgNumber();
      if (auto name = function.getArgAttrOfType<StringAttr>(index, graph::kParameterAttr)) {
        auto fits = [&](const Pin &pin) { return pin.matches(name.getValue()); };
        if (auto found = llvm::find_if(pins, fits); found != pins.end())
          function.setArgAttr(index, kLayoutAttr, layoutFrom(found->dims));
        continue;
      }
      std::vector<std::vector<std::string>> dims(
          cast<RankedTensorType>(argument.getType()).getRank());
      dims.front() = {"data"};
      function.setArgAttr(index, kLayoutAttr, layoutFrom(dims));
    }
  }

  OwningOpRef<ModuleOp> run(PassManager &passes, OwningOpRef<ModuleOp> module) {
    std::string message;
    ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &diagnostic) {
      message += diagnostic.str() + "\n";
      return success();
    });
    const bool isGood = succeeded(passes.run(*module));
    EXPECT_TRUE(isGood) << message;
    return isGood ? std::move(module) : nullptr;
  }

  /// The model with its gradients, ready for layouts: pinned ones, or a search.
  OwningOpRef<ModuleOp> prepare(const std::string &text, const std::vector<Pin> &pins) {
    OwningOpRef<ModuleOp> module = parse(axes, text);
    pin(forward(module), pins);
    const bool searches = pins.empty();
    PassManager passes(&context);
    passes.addNestedPass<func::FuncOp>(createVerifyHeads());
    passes.addNestedPass<func::FuncOp>(createSplitFusedProjections({searches}));
    passes.addNestedPass<func::FuncOp>(createPadParameters({searches}));
    buildGradientPipeline(passes, {});
    return run(passes, std::move(module));
  }

  /// The program of a rank. Null, and a failure of the test, if a pass fails.
  OwningOpRef<ModuleOp> split(OwningOpRef<ModuleOp> module, const Machine *machine,
                              const char *objective = "time") {
    if (!module)
      return nullptr;
    PassManager passes(&context);
    if (machine) {
      ChooseLayoutsOptions options;
      options.objective = objective;
      options.tflops = machine->tflops;
      options.memoryGbPerS = machine->memoryGbPerS;
      options.tierSizes = {grid.getRanks()};
      options.tierLatencies = {machine->latencyUs};
      options.tierBandwidths = {machine->linkGbPerS};
      passes.addPass(createChooseLayouts(options));
    }
    passes.addPass(createPropagateLayouts());
    passes.addPass(createVerifyAnnotated());
    passes.addPass(createPartition());
    return run(passes, std::move(module));
  }

  OwningOpRef<ModuleOp> megatronPlan(const std::string &text) {
    return split(prepare(text, kind().megatron()), nullptr);
  }
  OwningOpRef<ModuleOp> foundPlan(const std::string &text, const Machine &machine,
                                  const char *objective = "time") {
    return split(prepare(text, {}), &machine, objective);
  }

  /// What the search takes the cost of the plan that it finds to be.
  Cost predictedCost(const std::string &text, const Machine &machine, Objective objective) {
    OwningOpRef<ModuleOp> module = prepare(text, {});
    MachineModel model;
    model.objective = objective;
    model.flopsPerSecond = machine.tflops * 1e12;
    model.memoryBytesPerSecond = machine.memoryGbPerS * 1e9;
    model.tiers = {{grid.getRanks(), machine.latencyUs * 1e-6, machine.linkGbPerS * 1e9}};
    LayoutNetwork network(forward(module), symbol, grid, {AxisRefAttr::get(&context, "tensor")},
                          model);
    EXPECT_TRUE(succeeded(network.build()));
    return network.costs().minimize()->cost;
  }

  //===----------------------------------------------------------------------------------------===//
  // Bytes and time
  //===----------------------------------------------------------------------------------------===//

  static int64_t bytesOf(Value value) {
    auto type = cast<RankedTensorType>(value.getType());
    return type.getNumElements() * type.getElementTypeBitWidth() / 8;
  }
  /// By an all_reduce over `ranks`.
  static int64_t receivedToReduce(int64_t bytes, int64_t ranks) {
    return 2 * (bytes - bytes / ranks);
  }

  int64_t receivedBy(Operation *op) const {
    auto ranks = [&](GroupAttr group) { return grid.sizeOf(group.getAxes()); };
    return TypeSwitch<Operation *, int64_t>(op)
        .Case([&](AllReduceOp op) {
          return receivedToReduce(bytesOf(op.getX()), ranks(op.getGroup()));
        })
        .Case<ReduceScatterOp, AllToAllOp>(
            [&](auto op) { return bytesOf(op.getX()) - bytesOf(op.getX()) / ranks(op.getGroup()); })
        .Case([&](AllGatherOp op) { return bytesOf(op.getResult()) - bytesOf(op.getX()); })
        .Case([&](PermuteOp op) { return bytesOf(op.getX()); })
        .Default([](Operation *) { return int64_t{0}; });
  }

  Step stepOf(func::FuncOp function, const Machine &machine) const {
    Step step;
    auto compute = [&](double flops, double bytes) {
      step.seconds += flops / (machine.tflops * 1e12) + bytes / (machine.memoryGbPerS * 1e9);
    };
    auto receive = [&](int64_t &count, int64_t bytes) {
      count += bytes;
      if (bytes != 0)
        step.seconds +=
            machine.latencyUs * 1e-6 + static_cast<double>(bytes) / (machine.linkGbPerS * 1e9);
    };
    function.walk([&](Operation *op) {
      receive(step.collectives, receivedBy(op));
      if (auto costly = dyn_cast<graph::CostOpInterface>(op)) {
        const graph::OpCost cost = costly.getCost();
        compute(static_cast<double>(cost.flops),
                static_cast<double>(cost.bytesRead + cost.bytesWritten));
      }
    });
    auto returned = function.getBody().front().getTerminator()->getOperands();
    for (auto [index, value] : llvm::enumerate(returned))
      if (function.getResultAttr(index, graph::kGradientAttr)) {
        auto layout = function.getResultAttrOfType<LayoutAttr>(index, kLayoutAttr);
        receive(step.gradients,
                receivedToReduce(bytesOf(value), grid.sizeOf(layout.getPartialAxes())));
        // The update reads parameter, gradient and two moments, and writes three of them.
        compute(0, 7 * static_cast<double>(bytesOf(value)));
      }
    return step;
  }

  /// The search counts on the whole model: all but what ops become that cannot be split as they
  /// are.
  void expectPredicted(const std::string &text, const Machine &machine, const Step &counted) {
    const Cost predicted = predictedCost(text, machine, Objective::Time);
    EXPECT_NEAR(static_cast<double>(predicted.time) * 1e-12 / counted.seconds, 1, 0.015)
        << counted.text();
  }

  //===----------------------------------------------------------------------------------------===//
  // Numbers
  //===----------------------------------------------------------------------------------------===//

  std::vector<HostTensor> argumentsOf(const std::string &text) {
    OwningOpRef<ModuleOp> model = parseSourceString<ModuleOp>(text, &context);
    return randomArguments(forward(model));
  }

  /// What the model gives on one rank: the loss, then the gradients.
  SmallVector<HostTensor> evaluateWhole(const std::string &text, ArrayRef<HostTensor> arguments) {
    PassManager passes(&context);
    buildGradientPipeline(passes, {});
    OwningOpRef<ModuleOp> module = run(passes, parseSourceString<ModuleOp>(text, &context));
    FailureOr<SmallVector<HostTensor>> results =
        graph::evaluateFunction(forward(module), arguments);
    EXPECT_TRUE(succeeded(results));
    return succeeded(results) ? *results : SmallVector<HostTensor>();
  }

  /// The values of `tensor` where it has them, else zeros: a parameter with its padding, or
  /// without.
  static HostTensor resized(const HostTensor &tensor, RankedTensorType type) {
    RankedTensorType from = tensor.getType();
    if (from == type)
      return tensor;
    HostTensor result(type);
    const size_t bytes = type.getElementTypeBitWidth() / 8;
    for (int64_t i = 0; i < from.getNumElements(); ++i) {
      int64_t to = 0, rest = i, stride = 1;
      bool isKept = true;
      for (int64_t dim = from.getRank() - 1; dim >= 0; --dim) {
        const int64_t index = rest % from.getDimSize(dim);
        rest /= from.getDimSize(dim);
        isKept &= index < type.getDimSize(dim);
        to += index * stride;
        stride *= type.getDimSize(dim);
      }
      if (isKept)
        std::memcpy(result.as<char>() + to * bytes, tensor.as<char>() + i * bytes, bytes);
    }
    return result;
  }

  /// What the ranks give, joined.
  SmallVector<HostTensor> evaluateSplit(func::FuncOp function, ArrayRef<HostTensor> arguments) {
    std::vector<Parts> parts;
    for (auto [argument, value] : llvm::zip_equal(function.getArguments(), arguments)) {
      LayoutAttr layout = layoutOf(argument);
      auto local = cast<RankedTensorType>(argument.getType());
      RankedTensorType whole = local.clone(layout.globalShape(grid, local.getShape()));
      parts.push_back(sharding::split(resized(value, whole), layout, grid));
    }
    FailureOr<std::vector<Parts>> returned = evaluateOnRanks(function, grid, parts);
    EXPECT_TRUE(succeeded(returned));
    SmallVector<HostTensor> results;
    if (failed(returned))
      return results;
    for (auto [index, result] : llvm::enumerate(*returned)) {
      auto layout = function.getResultAttrOfType<LayoutAttr>(index, kLayoutAttr);
      auto emit = [&] { return emitError(function.getLoc()); };
      FailureOr<HostTensor> whole = join(emit, result, layout, grid);
      EXPECT_TRUE(succeeded(whole));
      results.push_back(succeeded(whole) ? *whole : HostTensor());
    }
    return results;
  }

  static std::vector<double> valuesOf(const HostTensor &tensor) {
    const int64_t count = tensor.getType().getNumElements();
    if (tensor.getType().getElementType().isF64())
      return {tensor.as<double>(), tensor.as<double>() + count};
    return {tensor.as<float>(), tensor.as<float>() + count};
  }
  static double normOf(ArrayRef<double> values) {
    double squares = 0;
    for (double value : values)
      squares += value * value;
    return std::sqrt(squares);
  }

  /// The norm of the difference, relative to that of `expected`. Gradients here have norms above
  /// `kLeast`, but for what is zero up to rounding: softmax does not see the bias of a key.
  static double distance(const HostTensor &result, const HostTensor &expected) {
    constexpr double kLeast = 0.25;
    std::vector<double> to = valuesOf(expected), apart = valuesOf(result);
    for (auto [a, b] : llvm::zip_equal(apart, to))
      a -= b;
    return normOf(apart) / std::max(normOf(to), kLeast);
  }

  static bool splitsParameter(func::FuncOp function) {
    return llvm::any_of(function.getArguments(), [&](BlockArgument argument) {
      return function.getArgAttr(argument.getArgNumber(), graph::kParameterAttr) &&
             !layoutOf(argument).getSplitAxes().empty();
    });
  }

  /// Runs the plans on ranks and compares them with the whole model.
  void expectAgreement(ModelPrecision precision, double tolerance) {
    const std::string text = kind().small(precision);
    const std::vector<HostTensor> arguments = argumentsOf(text);
    const SmallVector<HostTensor> expected = evaluateWhole(text, arguments);
    double most = 0;
    std::vector<OwningOpRef<ModuleOp>> plans;
    plans.push_back(megatronPlan(text));
    plans.push_back(foundPlan(text, kHost));
    plans.push_back(foundPlan(text, kFastLinks));
    for (size_t plan = 0; plan < plans.size(); ++plan) {
      SCOPED_TRACE("plan " + std::to_string(plan));
      const OwningOpRef<ModuleOp> &module = plans[plan];
      ASSERT_TRUE(module);
      func::FuncOp function = forward(module);
      EXPECT_TRUE(splitsParameter(function));
      EXPECT_GT(stepOf(function, kHost).collectives, 0);
      const SmallVector<HostTensor> results = evaluateSplit(function, arguments);
      ASSERT_EQ(results.size(), expected.size());
      for (unsigned index = 0; index < results.size(); ++index) {
        auto name = function.getResultAttrOfType<StringAttr>(index, graph::kGradientAttr);
        const HostTensor &whole = expected[index];
        const double apart = distance(resized(results[index], whole.getType()), whole);
        EXPECT_LE(apart, tolerance) << (name ? name.str() : "loss");
        most = std::max(most, apart);
      }
    }
    RecordProperty("distance", testing::PrintToString(most));
  }

  FlatSymbolRefAttr symbol;
  std::string axes;
  MeshAttr grid;
};

TEST_P(ModelsTest, FoundLayoutsAreNoWorse) {
  for (int64_t batch : {dataRanks(), kind().batch}) {
    const std::string text = kind().realistic(batch);
    OwningOpRef<ModuleOp> pinned = megatronPlan(text);
    for (const Machine &machine : {kHost, kH100}) {
      const std::string which = std::string(machine.name) + ", batch " + std::to_string(batch);
      SCOPED_TRACE(which);
      OwningOpRef<ModuleOp> found = foundPlan(text, machine);
      ASSERT_TRUE(pinned && found);
      const Step before = stepOf(forward(pinned), machine), after = stepOf(forward(found), machine);
      RecordProperty("Megatron, " + which, before.text());
      RecordProperty("found, " + which, after.text());
      if (batch == kind().batch) {
        EXPECT_LE(after.bytes(), before.bytes()) << after.text() << " against " << before.text();
      }
      EXPECT_LE(after.seconds, before.seconds) << after.text() << " against " << before.text();
      expectPredicted(text, machine, after);
    }
  }
}

using UnevenHeadsTest = ModelsTest;

/// 12 heads, or 4 of keys and values, over 8 ranks, which Megatron refuses: each rank computes the
/// scores of all, which a split of the value features repeats. Of one row and of many.
TEST_P(UnevenHeadsTest, TheSearchCountsWhatARankDoes) {
  for (int64_t batch : {int64_t{1}, kind().batch}) {
    const std::string text = kind().realistic(batch);
    for (const Machine &machine : {kHost, kH100, kFastLinks}) {
      SCOPED_TRACE(std::string(machine.name) + ", batch " + std::to_string(batch));
      OwningOpRef<ModuleOp> found = foundPlan(text, machine);
      ASSERT_TRUE(found);
      expectPredicted(text, machine, stepOf(forward(found), machine));
    }
  }
}

/// Whatever the machine and however small the micro-batch: one row of a rank, or as above. Where
/// nothing has to be moved if nothing is split, the search may find just that; so values are also
/// placed around Megatron's pins, against those that follow from the pins.
TEST_P(ModelsTest, LeastTrafficIsNoMoreThanMegatrons) {
  for (int64_t batch : {dataRanks(), kind().batch}) {
    SCOPED_TRACE("batch " + std::to_string(batch));
    const std::string text = kind().realistic(batch);
    OwningOpRef<ModuleOp> pinned = megatronPlan(text);
    for (const Machine &machine : {kHost, kH100}) {
      SCOPED_TRACE(machine.name);
      OwningOpRef<ModuleOp> found = foundPlan(text, machine, "traffic");
      OwningOpRef<ModuleOp> around = split(prepare(text, kind().megatron()), &machine, "traffic");
      ASSERT_TRUE(pinned && found && around);
      const Step before = stepOf(forward(pinned), machine), after = stepOf(forward(found), machine);
      const Step beside = stepOf(forward(around), machine);
      const std::string which = std::string(machine.name) + ", batch " + std::to_string(batch);
      RecordProperty("Megatron, " + which, before.text());
      RecordProperty("around its pins, " + which, beside.text());
      RecordProperty("least traffic, " + which, after.text());
      EXPECT_LE(after.bytes(), before.bytes()) << after.text() << " against " << before.text();
      EXPECT_LE(beside.bytes(), before.bytes()) << beside.text() << " against " << before.text();
      EXPECT_LE(after.bytes(), beside.bytes()) << after.text() << " against " << beside.text();
      // What two readers have moved alike is moved once.
      EXPECT_GE(predictedCost(text, machine, Objective::Traffic).traffic, after.bytes());
    }
  }
}

TEST_P(ModelsTest, RanksAgreeWithOneInF64) { expectAgreement(ModelPrecision::F64, 1e-9); }

TEST_P(ModelsTest, RanksAgreeWithOneInF32) { expectAgreement(ModelPrecision::F32, 2e-6); }

std::string nameOf(const testing::TestParamInfo<std::tuple<Kind, Grid>> &info) {
  const Grid &grid = std::get<Grid>(info.param);
  return std::get<Kind>(info.param).name + std::to_string(grid.data) + "x" +
         std::to_string(grid.tensor);
}

INSTANTIATE_TEST_SUITE_P(, ModelsTest,
                         testing::Combine(testing::ValuesIn(kKinds), testing::ValuesIn(kGrids)),
                         nameOf);

INSTANTIATE_TEST_SUITE_P(, UnevenHeadsTest,
                         testing::Combine(testing::Values(kKinds[0], kKinds[1], kKinds[4]),
                                          testing::Values(Grid{1, 8})),
                         nameOf);

} // namespace
} // namespace deepshard::sharding
