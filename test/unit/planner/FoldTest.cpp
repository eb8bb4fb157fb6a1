//===- FoldTest.cpp - repeated blocks ---------------------------------------------------------===//

#include "test/unit/planner/Models.h"
#include "test/unit/sharding/Testing.h"

#include "passes/planner/Fold.h"
#include "passes/training/Passes.h"

#include "mlir/Pass/PassManager.h"

using namespace mlir;

namespace deepshard::sharding {
namespace {

std::string textOf(ArrayRef<Run> runs) {
  std::string text;
  for (const Run &run : runs)
    text += std::to_string(run.count) + " x [" + std::to_string(run.length) + "] at " +
            std::to_string(run.first) + "; ";
  return text;
}

TEST(FoldRunsTest, TheRepetitionThatCoversMost) {
  EXPECT_EQ(textOf(findRuns({})), "");
  EXPECT_EQ(textOf(findRuns({0, 1, 2})), "1 x [1] at 0; 1 x [1] at 1; 1 x [1] at 2; ");
  EXPECT_EQ(textOf(findRuns({0, 1, 2, 1, 2, 1, 2, 3})),
            "1 x [1] at 0; 3 x [2] at 1; 1 x [1] at 7; ");
  EXPECT_EQ(textOf(findRuns({0, 0, 1, 0, 0, 1, 2})), "2 x [3] at 0; 1 x [1] at 6; ");
  EXPECT_EQ(textOf(findRuns({0, 0, 0, 0})), "4 x [1] at 0; ");
}

class FoldTest : public ShardingTest {
protected:
  static constexpr int64_t kLayers = 5;

  static std::string llamaText() {
    return llama({kLayers, 32, 8, 4, 48, 64, 4, 8}, ModelPrecision::F64);
  }
  /// Norms behind the residuals: the head reads the last one of the last layer.
  static std::string bertText(bool isTied) {
    return bert({kLayers, 32, 4, 64, 46, 4, 8, isTied}, ModelPrecision::F64);
  }

  OwningOpRef<ModuleOp> module(bool hasGradients, const std::string &text = llamaText()) {
    OwningOpRef<ModuleOp> module = parse("[\"tensor\" = 2]", text);
    if (!hasGradients)
      return module;
    PassManager passes(&context);
    TrainingOptions training;
    training.precision = "f64";
    buildGradientPipeline(passes, training);
    EXPECT_TRUE(succeeded(passes.run(*module)));
    return module;
  }

  static func::FuncOp forward(OwningOpRef<ModuleOp> &module) {
    return module.get().lookupSymbol<func::FuncOp>("forward");
  }

  /// Counts of the runs that repeat something.
  static SmallVector<size_t> repetitions(const Fold &fold) {
    SmallVector<size_t> counts;
    for (const deepshard::Run &run : fold.runs)
      if (run.count > 1)
        counts.push_back(run.count);
    return counts;
  }

  static bool reads(const Segment &segment, Value value) {
    return llvm::any_of(
        segment.ops, [&](Operation *op) { return llvm::is_contained(op->getOperands(), value); });
  }
};

TEST_F(FoldTest, LayersAreOneRun) {
  for (const std::string &text : {llamaText(), bertText(true), bertText(false)})
    for (bool hasGradients : {false, true}) {
      SCOPED_TRACE(text.substr(0, 100) + (hasGradients ? " with gradients" : ""));
      OwningOpRef<ModuleOp> model = module(hasGradients, text);
      Fold fold(forward(model));
      EXPECT_EQ(repetitions(fold), SmallVector<size_t>{kLayers}) << textOf(fold.runs);
    }
}

/// Forward and backward of a layer belong together: what reads its parameters lies in its block.
TEST_F(FoldTest, ABlockHasItsBackward) {
  OwningOpRef<ModuleOp> model = module(true);
  func::FuncOp function = forward(model);
  Fold fold(function);
  const deepshard::Run &layers =
      *llvm::find_if(fold.runs, [](const deepshard::Run &run) { return run.count > 1; });
  size_t parameters = 0;
  for (BlockArgument argument : function.getArguments()) {
    auto name =
        function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), graph::kParameterAttr);
    if (!name || !name.getValue().contains("layers."))
      continue;
    ++parameters;
    const size_t layer = name.getValue().split("layers.").second[0] - '0';
    size_t readers = 0;
    for (auto [index, segment] : llvm::enumerate(fold.segments)) {
      if (!reads(segment, argument))
        continue;
      readers += 1;
      EXPECT_EQ((index - layers.first) / layers.length, layer) << name.str();
    }
    EXPECT_GT(readers, 0U) << name.str();
  }
  EXPECT_GT(parameters, 0U);
}

/// Every op that depends on a parameter is in one segment.
TEST_F(FoldTest, SegmentsAreAPartition) {
  OwningOpRef<ModuleOp> model = module(true);
  func::FuncOp function = forward(model);
  llvm::DenseSet<Operation *> seen;
  for (const Segment &segment : Fold(function).segments)
    for (Operation *op : segment.ops)
      EXPECT_TRUE(seen.insert(op).second);
  llvm::DenseSet<Value> carriers;
  for (BlockArgument argument : function.getArguments())
    if (function.getArgAttr(argument.getArgNumber(), graph::kParameterAttr))
      carriers.insert(argument);
  for (Operation &op : function.getBody().front().without_terminator()) {
    if (llvm::none_of(op.getOperands(), [&](Value value) { return carriers.contains(value); }))
      continue;
    carriers.insert(op.result_begin(), op.result_end());
    EXPECT_TRUE(seen.contains(&op)) << op.getName().getStringRef().str();
  }
}

/// A pin makes a layer another one.
TEST_F(FoldTest, APinnedLayerIsDifferent) {
  OwningOpRef<ModuleOp> model = module(true);
  func::FuncOp function = forward(model);
  for (BlockArgument argument : function.getArguments()) {
    auto name =
        function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), graph::kParameterAttr);
    if (name && name.getValue().contains("layers.2.") && name.getValue().contains("down_proj"))
      function.setArgAttr(argument.getArgNumber(), kLayoutAttr, layout("[{\"tensor\"}, {}]"));
  }
  Fold fold(function);
  EXPECT_EQ(repetitions(fold), (SmallVector<size_t>{2, 2})) << textOf(fold.runs);
}

} // namespace
} // namespace deepshard::sharding
