//===- RecomputeTest.cpp - models with and without recomputation ------------------------------===//
//
// The oracle of what is computed is the same model without marks, run by the reference interpreter,
// whole and on simulated ranks: the bits have to be equal. What is kept is counted on the result.
//
//===------------------------------------------------------------------------------------------===//

#include "test/unit/planner/Models.h"
#include "test/unit/planner/RandomArguments.h"
#include "test/unit/sharding/Testing.h"

#include "dialects/graph/Interpreter.h"
#include "passes/memory/Passes.h"
#include "passes/planner/Fold.h"
#include "passes/planner/Passes.h"
#include "passes/planner/SavedValues.h"
#include "passes/sharding/Passes.h"
#include "passes/training/Passes.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

#include <cstring>

using namespace mlir;

namespace deepshard::sharding {
namespace {

using graph::HostTensor;

struct Model {
  const char *name;
  std::string text;
  int64_t layers;
};

const Model kModels[] = {
    {"llama", llama({4, 32, 8, 4, 48, 64, 4, 8}, ModelPrecision::F32), 4},
    {"bert", bert({3, 32, 4, 64, 48, 4, 8, true}, ModelPrecision::F32), 3},
    {"vit", vit({3, 32, 4, 64, 16, 4, 8, 4, true}, ModelPrecision::F32), 3},
    {"moe", moe({3, 32, 4, 4, 48, 4, 8}, ModelPrecision::F32), 3},
};

struct Choice {
  const char *mode;
  int64_t inputs;
};
constexpr Choice kChoices[] = {{"selective", 0}, {"full", 0}, {"full", 2}};

class RecomputeTest : public ShardingTest {
protected:
  static func::FuncOp forward(const OwningOpRef<ModuleOp> &module) {
    return module.get().lookupSymbol<func::FuncOp>("forward");
  }

  void run(const OwningOpRef<ModuleOp> &module, function_ref<void(PassManager &)> add) {
    PassManager passes(&context);
    add(passes);
    EXPECT_TRUE(succeeded(passes.run(*module)));
  }

  /// With gradients; over `axes` with layouts of inputs cut over "data" and the others searched.
  OwningOpRef<ModuleOp> prepare(const Model &model, StringRef axes) {
    OwningOpRef<ModuleOp> module =
        axes.empty() ? parseSourceString<ModuleOp>(model.text, &context) : parse(axes, model.text);
    for (BlockArgument argument : forward(module).getArguments())
      if (!axes.empty() && forward(module).getArgAttr(argument.getArgNumber(), graph::kInputAttr)) {
        const int64_t rank = cast<RankedTensorType>(argument.getType()).getRank();
        std::string text = "[{\"data\"}";
        for (int64_t dim = 1; dim < rank; ++dim)
          text += ", {}";
        forward(module).setArgAttr(argument.getArgNumber(), kLayoutAttr, layout(text + "]"));
      }
    run(module, [&](PassManager &passes) {
      buildGradientPipeline(passes, {});
      if (axes.empty())
        return;
      ChooseLayoutsOptions fastLinks;
      fastLinks.tierSizes = {4};
      fastLinks.tierLatencies = {0.001};
      fastLinks.tierBandwidths = {1000};
      passes.addPass(createChooseLayouts(fastLinks));
      passes.addPass(createPropagateLayouts());
    });
    return module;
  }

  /// What is kept as it was marked.
  SavedValues choose(const OwningOpRef<ModuleOp> &module, const Choice &choice) {
    run(module, [&](PassManager &passes) {
      passes.addNestedPass<func::FuncOp>(createChooseRecompute({choice.mode, choice.inputs}));
    });
    return savedValues(forward(module), true);
  }

  void transform(const OwningOpRef<ModuleOp> &module) {
    run(module, [](PassManager &passes) {
      passes.addPass(createPartition());
      passes.addNestedPass<func::FuncOp>(createRecompute());
      passes.addPass(createCSEPass());
    });
    forward(module).walk([](Operation *op) { EXPECT_FALSE(op->hasAttr(graph::kRecomputeAttr)); });
  }

  static int64_t bytesOf(const OwningOpRef<ModuleOp> &module, const SavedValues &saved) {
    const LocalSizes sizes(forward(module));
    int64_t bytes = 0;
    for (Value value : saved.kept)
      bytes += sizes.bytes(value);
    return bytes;
  }

  /// What is sent between ranks.
  static int64_t collectives(func::FuncOp function) {
    int64_t count = 0;
    function.walk([&](Operation *op) {
      count += isa<ShardingDialect>(op->getDialect()) && !isa<LocalSliceOp, AxisIndexOp>(op);
    });
    return count;
  }

  static void expectEqual(const HostTensor &a, const HostTensor &b) {
    ASSERT_EQ(a.getType(), b.getType());
    const size_t bytes = a.getType().getNumElements() * a.getType().getElementTypeBitWidth() / 8;
    EXPECT_EQ(std::memcmp(a.data(), b.data(), bytes), 0);
  }
};

TEST_F(RecomputeTest, SameBitsAndLessIsKept) {
  for (const Model &model : kModels) {
    const OwningOpRef<ModuleOp> plain = prepare(model, "");
    const std::vector<HostTensor> arguments = randomArguments(forward(plain));
    const auto expected = graph::evaluateFunction(forward(plain), arguments);
    ASSERT_TRUE(succeeded(expected));
    const int64_t before = bytesOf(plain, savedValues(forward(plain), false));
    for (const Choice &choice : kChoices) {
      SCOPED_TRACE(std::string(model.name) + " " + choice.mode + " " +
                   std::to_string(choice.inputs));
      const OwningOpRef<ModuleOp> module = prepare(model, "");
      const SavedValues chosen = choose(module, choice);
      const int64_t promised = bytesOf(module, chosen);
      EXPECT_LT(promised, before);
      for (Operation *op : chosen.recomputed)
        EXPECT_TRUE(
            StringRef(choice.mode) == "full" ||
            !(isa<graph::MatmulOp, graph::LinearOp, graph::ConvolutionOp, graph::AttentionOp>(op)));
      transform(module);
      EXPECT_EQ(bytesOf(module, savedValues(forward(module), false)), promised);
      const auto results = graph::evaluateFunction(forward(module), arguments);
      ASSERT_TRUE(succeeded(results));
      ASSERT_EQ(results->size(), expected->size());
      for (auto [result, other] : llvm::zip(*results, *expected))
        expectEqual(result, other);
    }
  }
}

/// Of whole blocks the input is kept, of groups that of the group.
TEST_F(RecomputeTest, InputsOfBlocks) {
  for (const Model &model : kModels)
    for (const Choice &choice : kChoices) {
      if (StringRef(choice.mode) != "full")
        continue;
      SCOPED_TRACE(std::string(model.name) + " " + std::to_string(choice.inputs));
      const OwningOpRef<ModuleOp> module = prepare(model, "");
      const Fold fold(forward(module), FoldBy::Computation);
      llvm::DenseSet<Operation *> inBlocks;
      int64_t blocks = 0;
      for (const deepshard::Run &run : fold.runs)
        if (run.count > 1) {
          blocks += static_cast<int64_t>(run.count);
          for (size_t i = 0; i < run.length * run.count; ++i)
            inBlocks.insert(fold.segments[run.first + i].ops.begin(),
                            fold.segments[run.first + i].ops.end());
        }
      // The first or the last layer may be of another kind, by what surrounds it.
      EXPECT_GE(blocks, model.layers - 1);
      const SavedValues chosen = choose(module, choice);
      llvm::DenseSet<Operation *> kept; // one op may have several results
      for (Value value : chosen.kept)
        if (inBlocks.contains(value.getDefiningOp()))
          kept.insert(value.getDefiningOp());
      EXPECT_LE(static_cast<int64_t>(kept.size()), choice.inputs == 0 ? blocks : choice.inputs);
      EXPECT_FALSE(kept.empty());
    }
}

TEST_F(RecomputeTest, SameBitsOnRanks) {
  constexpr StringRef kAxes = "[\"data\" = 2, \"tensor\" = 2]";
  const MeshAttr grid = mesh(kAxes);
  auto evaluate = [&](const OwningOpRef<ModuleOp> &module, ArrayRef<HostTensor> arguments) {
    std::vector<Parts> parts;
    for (auto [argument, value] : llvm::zip_equal(forward(module).getArguments(), arguments))
      parts.push_back(sharding::split(value, layoutOf(argument), grid));
    return evaluateOnRanks(forward(module), grid, parts);
  };
  for (const Model &model : kModels) {
    const OwningOpRef<ModuleOp> plain = prepare(model, kAxes);
    const std::vector<HostTensor> arguments = randomArguments(forward(plain));
    run(plain, [](PassManager &passes) { passes.addPass(createPartition()); });
    const int64_t before = bytesOf(plain, savedValues(forward(plain), false));
    const auto expected = evaluate(plain, arguments);
    ASSERT_TRUE(succeeded(expected));
    for (const Choice &choice : kChoices) {
      SCOPED_TRACE(std::string(model.name) + " " + choice.mode + " " +
                   std::to_string(choice.inputs));
      const OwningOpRef<ModuleOp> module = prepare(model, kAxes);
      choose(module, choice);
      transform(module);
      EXPECT_LT(bytesOf(module, savedValues(forward(module), false)), before);
      if (StringRef(choice.mode) == "selective") {
        EXPECT_EQ(collectives(forward(module)), collectives(forward(plain)));
      }
      const auto results = evaluate(module, arguments);
      ASSERT_TRUE(succeeded(results));
      for (auto [result, other] : llvm::zip_equal(*results, *expected))
        for (auto [part, otherPart] : llvm::zip_equal(result, other))
          expectEqual(part, otherPart);
    }
  }
}

} // namespace
} // namespace deepshard::sharding
