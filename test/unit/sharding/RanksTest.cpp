//===- RanksTest.cpp - random programs, executed by ranks, against the whole program ----------===//
//
// The whole way of a program: random ops on integers, random layouts of arguments and results on a
// random mesh, propagation, partition, plan; then threads as ranks execute the plan, each of their
// tasks late by a random time. What they save must be what the interpreter computes with one rank.
//
//===------------------------------------------------------------------------------------------===//

#include "test/unit/executor/RankTraining.h"
#include "test/unit/sharding/PartitionedPlan.h"
#include "test/unit/sharding/ProgramGenerator.h"
#include "test/unit/sharding/Testing.h"

#include "dialects/graph/Interpreter.h"
#include "dialects/plan/Plan.h"
#include "passes/sharding/Passes.h"
#include "runtime/checkpoint/SafeTensors.h"

#include "mlir/Pass/PassManager.h"

using namespace mlir;

namespace deepshard::sharding {
namespace {

using graph::HostTensor;

constexpr uint64_t kSeed = 11;
constexpr int kSteps = 2;
constexpr int64_t kCacheLine = 64;

class RanksTest : public ShardingTest {
protected:
  RanksTest() { context.loadDialect<plan::PlanDialect>(); }

  /// Up to three axes, up to 16 ranks.
  std::string randomMesh(Random &random) {
    std::string axes;
    int64_t ranks = 1;
    for (const char *name : {"a", "b", "c"}) {
      int64_t size = 2 + static_cast<int64_t>(random() % 3);
      if (ranks * size > 16 || (!axes.empty() && random() % 3 == 0))
        break;
      ranks *= size;
      axes += (axes.empty() ? "[\"" : ", \"") + std::string(name) + "\" = " + std::to_string(size);
    }
    return axes + "]";
  }

  /// Makes arguments parameters of random layouts, and results parameters of bucket 0: both ends
  /// lie in files then.
  void giveRoles(func::FuncOp function, MeshAttr grid, Random &random) {
    Builder builder(&context);
    function.setArgAttr(0, graph::kRunStateAttr, builder.getStringAttr(graph::kRandomCounter));
    auto setRole = [&](unsigned index, StringRef name) {
      auto type = cast<RankedTensorType>(function.getArgumentTypes()[index]);
      bool isTrained = isa<FloatType>(type.getElementType());
      function.setArgAttr(index, isTrained ? graph::kParameterAttr : graph::kBufferAttr,
                          builder.getStringAttr(name));
      function.setArgAttr(index, kLayoutAttr, randomLayout(type, grid, random));
    };
    for (unsigned index = 1; index < function.getNumArguments(); ++index)
      setRole(index, "in" + std::to_string(index));
    bucketElements = 0;
    for (auto [index, type] : llvm::enumerate(function.getResultTypes())) {
      unsigned argument = function.getNumArguments();
      (void)function.insertArgument(argument, type, {}, function.getLoc());
      setRole(argument, "out" + std::to_string(index));
      auto layout = function.getArgAttrOfType<LayoutAttr>(argument, kLayoutAttr);
      auto member =
          graph::MemberAttr::get(&context, builder.getStringAttr("parameter"), 0, bucketElements);
      function.setArgAttr(argument, graph::kMemberAttr, member);
      function.setResultAttr(index, graph::kMemberAttr, member);
      function.setResultAttr(index, kLayoutAttr, layout);
      int64_t elements = layout.localType(grid, cast<RankedTensorType>(type)).getNumElements();
      bucketElements += llvm::divideCeil(elements, kCacheLine) * kCacheLine;
    }
  }

  /// @update sees the bucket of the results as a whole.
  void declareBucket(ModuleOp module, Type elementType) {
    auto builder = OpBuilder::atBlockEnd(module.getBody());
    auto type = RankedTensorType::get({bucketElements}, elementType);
    auto update = func::FuncOp::create(builder, module.getLoc(), "update",
                                       builder.getFunctionType({type}, {}));
    update.setArgAttr(0, graph::kBucketAttr,
                      graph::BucketAttr::get(&context, builder.getStringAttr("parameter"), 0));
    builder.setInsertionPointToStart(update.addEntryBlock());
    func::ReturnOp::create(builder, module.getLoc());
  }

  FailureOr<planpb::Plan> compile(ModuleOp module, Type elementType, bool overlap) {
    PassManager sharding(&context);
    sharding.addPass(createPropagateLayouts());
    sharding.addPass(createPartition());
    if (failed(sharding.run(module)))
      return failure();
    declareBucket(module, elementType);
    return planPartitioned(module, {.overlap = overlap});
  }

  void saveArguments(const std::vector<HostTensor> &arguments) {
    std::vector<runtime::SavedTensor> tensors;
    for (size_t index = 1; index < arguments.size(); ++index) {
      size_t output = index - (arguments.size() - outputs);
      std::string name = index + outputs >= arguments.size() ? "out" + std::to_string(output)
                                                             : "in" + std::to_string(index);
      tensors.push_back({name, {}, arguments[index].getDesc(), arguments[index].data()});
    }
    runtime::saveSafeTensors(directory.path("in"), tensors);
  }

  /// Zeros of either sign are equal: a sum of them over ranks starts from another one.
  void expectEqual(const HostTensor &actual, const HostTensor &expected) {
    for (int64_t i = 0; i < expected.getType().getNumElements(); ++i) {
      if (expected.getType().getElementType().isF64())
        ASSERT_EQ(actual.as<double>()[i], expected.as<double>()[i]) << "element " << i;
      else
        ASSERT_EQ(actual.as<float>()[i], expected.as<float>()[i]) << "element " << i;
    }
  }

  void check(uint64_t trial) {
    Random random(trial);
    Builder builder(&context);
    Type elementType = random() % 2 == 0 ? Type(builder.getF32Type()) : builder.getF64Type();
    std::string axes = randomMesh(random);
    OwningOpRef<ModuleOp> module = parse(axes, "");
    MeshAttr grid = mesh(axes);
    ProgramGenerator generator(elementType, random);
    func::FuncOp function =
        generator.generate(OpBuilder::atBlockEnd(module->getBody()), 8 + trial % 25);
    outputs = function.getNumResults();
    giveRoles(function, grid, random);
    ASSERT_TRUE(succeeded(verify(*module)));
    std::string text;
    llvm::raw_string_ostream(text) << *module;
    SCOPED_TRACE(text);

    std::vector<HostTensor> arguments = generator.arguments();
    for (Type type : function.getResultTypes())
      arguments.emplace_back(cast<RankedTensorType>(type));
    saveArguments(arguments);
    arguments[0].as<int64_t>()[0] = kSeed;
    arguments[0].as<int64_t>()[1] = kSteps - 1;
    FailureOr<SmallVector<HostTensor>> expected = graph::evaluateFunction(function, arguments);
    ASSERT_TRUE(succeeded(expected));

    FailureOr<planpb::Plan> plan = compile(*module, elementType, random() % 4 != 0);
    ASSERT_TRUE(succeeded(plan));
    runtime::ExecutorOptions options;
    options.seed = kSeed;
    options.weights = directory.path("in");
    options.delaySeed = trial + 1;
    try {
      runtime::test::runOnThreads(*plan, options, kSteps, directory.path("out"));
    } catch (const runtime::Error &error) {
      FAIL() << error.what();
    }
    runtime::SafeTensorsFile saved(directory.path("out"));
    for (auto [index, result] : llvm::enumerate(*expected)) {
      const auto *entry = saved.find("out" + std::to_string(index));
      ASSERT_NE(entry, nullptr);
      HostTensor actual(result.getType());
      saved.file().read(entry->offset, actual.data(), actual.size());
      SCOPED_TRACE("result " + std::to_string(index));
      expectEqual(actual, result);
    }
  }

  runtime::test::TemporaryDirectory directory;
  int64_t bucketElements = 0;
  size_t outputs = 0;
};

TEST_F(RanksTest, RandomProgramsGiveTheNumbersOfOneRank) {
  constexpr uint64_t kTrials = 200;
  for (uint64_t trial = 0; trial < kTrials && !HasFailure(); ++trial) {
    SCOPED_TRACE("trial " + std::to_string(trial));
    check(trial);
  }
}

} // namespace
} // namespace deepshard::sharding
