//===- CostTest.cpp - work of ops, counted by hand --------------------------------------------===//

#include "dialects/graph/Graph.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

using namespace mlir;
using deepshard::graph::CostOpInterface;
using deepshard::graph::OpCost;

namespace {

class CostTest : public testing::Test {
protected:
  CostTest() { context.loadDialect<func::FuncDialect, deepshard::graph::GraphDialect>(); }

  /// The cost of the first op of a function with the arguments `arguments`.
  OpCost costOf(const std::string &arguments, const std::string &op) {
    std::string text = "func.func @f(" + arguments + ") {\n" + op + "\nreturn\n}";
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
    EXPECT_TRUE(module) << text;
    auto function = *module->getOps<func::FuncOp>().begin();
    return cast<CostOpInterface>(function.getBody().front().front()).getCost();
  }

  MLIRContext context;
};

TEST_F(CostTest, ElementwiseReadsOperandsOnceAndBroadcasts) {
  OpCost cost = costOf("%a: tensor<4x1xf32>, %b: tensor<3xf32>",
                       "%r = graph.add %a, %b : tensor<4x1xf32>, tensor<3xf32>");
  EXPECT_EQ(cost.flops, 4 * 3);
  EXPECT_EQ(cost.bytesRead, (4 + 3) * 4);
  EXPECT_EQ(cost.bytesWritten, 4 * 3 * 4);
}

TEST_F(CostTest, BooleansTakeAByte) {
  EXPECT_EQ(costOf("%a: tensor<5xi1>", "%r = graph.not %a : tensor<5xi1>").bytesWritten, 5);
}

TEST_F(CostTest, MatmulMultipliesAndAdds) {
  OpCost cost = costOf("%a: tensor<2x3x5xf64>, %b: tensor<2x5x7xf64>",
                       "%r = graph.matmul %a, %b batch [0] x [0] contract [2] x [1] : "
                       "tensor<2x3x5xf64>, tensor<2x5x7xf64>");
  EXPECT_EQ(cost.flops, 2 * 2 * 3 * 7 * 5);
  EXPECT_EQ(cost.bytesRead, (2 * 3 * 5 + 2 * 5 * 7) * 8);
}

TEST_F(CostTest, LinearAddsTheBias) {
  OpCost cost =
      costOf("%x: tensor<4x5xf32>, %w: tensor<5x7xf32>, %b: tensor<7xf32>",
             "%r = graph.linear %x, %w, %b : tensor<4x5xf32>, tensor<5x7xf32>, tensor<7xf32>");
  EXPECT_EQ(cost.flops, 2 * 4 * 5 * 7 + 4 * 7);
}

TEST_F(CostTest, ConvolutionAndItsGradientsMultiplyAlike) {
  const std::string window = " strides [2] low [1] high [1] dilations [1] groups 2 : ";
  const std::string x = "tensor<2x4x8xf64>", w = "tensor<6x2x3xf64>", y = "tensor<2x6x4xf64>";
  OpCost cost =
      costOf("%x: " + x + ", %w: " + w, "%r = graph.convolution %x, %w" + window + x + ", " + w);
  EXPECT_EQ(cost.flops, 2 * (2 * 6 * 4) * (2 * 3));
  EXPECT_EQ(cost.bytesRead, (2 * 4 * 8 + 6 * 2 * 3) * 8);
  EXPECT_EQ(cost.bytesWritten, 2 * 6 * 4 * 8);
  OpCost inputGrad =
      costOf("%dy: " + y + ", %w: " + w,
             "%r = graph.convolution_input_grad %dy, %w sizes [8]" + window + y + ", " + w);
  EXPECT_EQ(inputGrad.flops, cost.flops);
  EXPECT_EQ(inputGrad.bytesWritten, 2 * 4 * 8 * 8);
  OpCost weightGrad =
      costOf("%dy: " + y + ", %x: " + x,
             "%r = graph.convolution_weight_grad %dy, %x sizes [3]" + window + y + ", " + x);
  EXPECT_EQ(weightGrad.flops, cost.flops);
  EXPECT_EQ(weightGrad.bytesWritten, 6 * 2 * 3 * 8);
}

TEST_F(CostTest, CausalAttentionCountsVisiblePairs) {
  const std::string arguments = "%q: tensor<1x2x3x4xf32>, %k: tensor<1x2x5x4xf32>";
  const std::string types = " : tensor<1x2x3x4xf32>, tensor<1x2x5x4xf32>, tensor<1x2x5x4xf32>";
  int64_t all = costOf(arguments, "%r:2 = graph.attention %q, %k, %k scale 1.0" + types).flops;
  int64_t causal =
      costOf(arguments, "%r:2 = graph.attention %q, %k, %k scale 1.0 causal" + types).flops;
  // Of 3 x 5 pairs the queries see 3, 4 and 5 keys.
  EXPECT_EQ(causal * 15, all * 12);
  EXPECT_EQ(all, 2 * 15 * (2 * (4 + 4) + 5));
}

} // namespace
