//===- RowLoopsTest.cpp - what one nest of row loops computes, and what not -------------------===//

#include "RowKernelTesting.h"

using namespace mlir;

namespace deepshard {
namespace {

class RowLoopsTest : public RowKernelTest {
protected:
  /// Whether a nest of loops fits the body, the lines between `func.func @f` + `signature` and the
  /// end.
  std::optional<RowLoops> loops(const std::string &signature, const std::string &body) {
    if (function)
      function.erase();
    function = parse("func.func @f" + signature + " {\n" + body + "\n}");
    return RowLoops::of(function);
  }

  func::FuncOp function;
};

TEST_F(RowLoopsTest, ReductionsBothWays) {
  std::optional<RowLoops> found =
      loops("(%x: tensor<2x3x5xf32>) -> (tensor<2x3xf32>, tensor<5xf32>)", R"(
    %r = graph.reduce_max %x dims [2] : tensor<2x3x5xf32>
    %c = graph.reduce_sum %x dims [0, 1] : tensor<2x3x5xf32>
    return %r, %c : tensor<2x3xf32>, tensor<5xf32>)");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->getDomain().getRowDims(), 2u);
  EXPECT_EQ(found->getDomain().spanOf(found->getOutputs()[0]), Span::Row);
  EXPECT_EQ(found->getDomain().spanOf(found->getOutputs()[1]), Span::Column);
  EXPECT_EQ(found->getPhases(), 1u);
}

TEST_F(RowLoopsTest, ThreePhasesOfSoftmax) {
  std::optional<RowLoops> found = loops("(%x: tensor<4x5xf32>) -> tensor<4x5xf32>", R"(
    %m = graph.reduce_max %x dims [1] keep_dims : tensor<4x5xf32>
    %d = graph.sub %x, %m : tensor<4x5xf32>, tensor<4x1xf32>
    %e = graph.exp %d : tensor<4x5xf32>
    %s = graph.reduce_sum %e dims [1] keep_dims : tensor<4x5xf32>
    %y = graph.div %e, %s : tensor<4x5xf32>, tensor<4x1xf32>
    return %y : tensor<4x5xf32>)");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->getPhases(), 3u);
  EXPECT_EQ(found->phaseOf(found->getOutputs()[0]), 2u);
  EXPECT_TRUE(found->mayOverwrite(0, 0));
}

TEST_F(RowLoopsTest, ADiagonalIsRefused) {
  EXPECT_FALSE(loops("(%x: tensor<4x4xf32>) -> tensor<4x4xf32>", R"(
    %t = graph.transpose %x [1, 0] : tensor<4x4xf32>
    %y = graph.add %x, %t : tensor<4x4xf32>, tensor<4x4xf32>
    return %y : tensor<4x4xf32>)"));
}

TEST_F(RowLoopsTest, ReductionsOfPartOfTheRowsAreRefused) {
  EXPECT_FALSE(loops("(%x: tensor<4x5x6xf32>) -> tensor<4x6xf32>", R"(
    %y = graph.reduce_sum %x dims [1] : tensor<4x5x6xf32>
    return %y : tensor<4x6xf32>)"));
  // Each of the two alone is one nest; rows would be two dimensions for one, one for the other.
  EXPECT_FALSE(loops("(%x: tensor<4x5x6xf32>) -> (tensor<4x5xf32>, tensor<5x6xf32>)", R"(
    %y = graph.reduce_sum %x dims [2] : tensor<4x5x6xf32>
    %z = graph.reduce_sum %x dims [0] : tensor<4x5x6xf32>
    return %y, %z : tensor<4x5xf32>, tensor<5x6xf32>)"));
  EXPECT_FALSE(loops("(%x: tensor<4x5x6xf32>) -> (tensor<4x5xf32>, tensor<4xf32>)", R"(
    %y = graph.reduce_sum %x dims [2] : tensor<4x5x6xf32>
    %z = graph.reduce_sum %x dims [1, 2] : tensor<4x5x6xf32>
    return %y, %z : tensor<4x5xf32>, tensor<4xf32>)"));
}

TEST_F(RowLoopsTest, ReductionsOfValuesThatSpanLessAreRefused) {
  EXPECT_FALSE(loops("(%x: tensor<4x5xf32>, %w: tensor<5xf32>) -> tensor<4x5xf32>", R"(
    %s = graph.reduce_sum %w dims [0] keep_dims : tensor<5xf32>
    %y = graph.mul %x, %s : tensor<4x5xf32>, tensor<1xf32>
    return %y : tensor<4x5xf32>)"));
  EXPECT_FALSE(loops("(%x: tensor<4x5xf32>) -> (tensor<4xf32>, tensor<f32>)", R"(
    %r = graph.reduce_sum %x dims [1] : tensor<4x5xf32>
    %s = graph.reduce_sum %r dims [0] : tensor<4xf32>
    return %r, %s : tensor<4xf32>, tensor<f32>)"));
}

TEST_F(RowLoopsTest, AReductionToAScalarIsRefused) {
  EXPECT_FALSE(loops("(%x: tensor<4x5xf32>) -> tensor<f32>", R"(
    %y = graph.reduce_sum %x dims [0, 1] : tensor<4x5xf32>
    return %y : tensor<f32>)"));
  EXPECT_FALSE(loops("(%x: tensor<20xf32>) -> tensor<1xf32>", R"(
    %y = graph.reduce_max %x dims [0] keep_dims : tensor<20xf32>
    return %y : tensor<1xf32>)"));
}

TEST_F(RowLoopsTest, WhatNeedsASumOfAllRowsForEachRowIsRefused) {
  EXPECT_FALSE(loops("(%x: tensor<4x5xf32>) -> tensor<4x5xf32>", R"(
    %s = graph.reduce_sum %x dims [0] : tensor<4x5xf32>
    %y = graph.sub %x, %s : tensor<4x5xf32>, tensor<5xf32>
    return %y : tensor<4x5xf32>)"));
  // By way of a broadcast, and of a reduction of it.
  EXPECT_FALSE(loops("(%x: tensor<4x5xf32>) -> tensor<4xf32>", R"(
    %s = graph.reduce_max %x dims [0] : tensor<4x5xf32>
    %b = graph.broadcast %s [1] : tensor<5xf32> to tensor<4x5xf32>
    %y = graph.reduce_sum %b dims [1] : tensor<4x5xf32>
    return %y : tensor<4xf32>)"));
  // What stays along the columns is computed from it.
  EXPECT_TRUE(loops("(%x: tensor<4x5xf32>, %w: tensor<5xf32>) -> tensor<5xf32>", R"(
    %s = graph.reduce_sum %x dims [0] : tensor<4x5xf32>
    %y = graph.add %s, %w : tensor<5xf32>, tensor<5xf32>
    return %y : tensor<5xf32>)"));
}

TEST_F(RowLoopsTest, ScalarsAndCopiesAreRefused) {
  EXPECT_FALSE(loops("(%x: tensor<f32>) -> tensor<f32>", R"(
    %y = graph.neg %x : tensor<f32>
    return %y : tensor<f32>)"));
  EXPECT_FALSE(loops("(%x: tensor<1x1xf32>) -> tensor<1x1xf32>", R"(
    %y = graph.neg %x : tensor<1x1xf32>
    return %y : tensor<1x1xf32>)"));
  EXPECT_FALSE(loops("(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)", R"(
    %y = graph.neg %x : tensor<4xf32>
    return %y, %x : tensor<4xf32>, tensor<4xf32>)"));
  EXPECT_FALSE(loops("(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)", R"(
    %y = graph.neg %x : tensor<4xf32>
    %c = graph.constant dense<0.0> : tensor<4xf32>
    return %y, %c : tensor<4xf32>, tensor<4xf32>)"));
}

TEST_F(RowLoopsTest, ReshapesThatJoinDimensionsAreRefused) {
  EXPECT_FALSE(loops("(%x: tensor<4x6xf32>, %w: tensor<24xf32>) -> tensor<24xf32>", R"(
    %y = graph.neg %x : tensor<4x6xf32>
    %r = graph.reshape %y : tensor<4x6xf32> to tensor<24xf32>
    %z = graph.add %r, %w : tensor<24xf32>, tensor<24xf32>
    return %z : tensor<24xf32>)"));
  EXPECT_TRUE(loops("(%x: tensor<4x6xf32>, %w: tensor<4x1x6xf32>) -> tensor<4x1x6xf32>", R"(
    %y = graph.neg %x : tensor<4x6xf32>
    %r = graph.reshape %y : tensor<4x6xf32> to tensor<4x1x6xf32>
    %z = graph.add %r, %w : tensor<4x1x6xf32>, tensor<4x1x6xf32>
    return %z : tensor<4x1x6xf32>)"));
}

TEST_F(RowLoopsTest, ACounterComputedByTheGroupIsRefused) {
  const std::string signature = "(%c: tensor<3xi64>, %d: tensor<3xi64>) -> tensor<3xf32>";
  const std::string body = R"(
    %n = graph.add %c, %d : tensor<3xi64>, tensor<3xi64>
    %x = graph.convert %n : tensor<3xi64> to tensor<3xf32>
    %y = graph.dropout %x, )";
  EXPECT_FALSE(loops(signature, body + R"(%n p 0.5 id 1 : tensor<3xf32>, tensor<3xi64>
    return %y : tensor<3xf32>)"));
  EXPECT_TRUE(loops(signature, body + R"(%c p 0.5 id 1 : tensor<3xf32>, tensor<3xi64>
    return %y : tensor<3xf32>)"));
}

TEST_F(RowLoopsTest, OpsWithoutKernels) {
  function = parse(
      R"(func.func @f(%x: tensor<4xf64>, %k: tensor<4xi64>, %e: tensor<0x4xf32>) {
    %0 = graph.neg %x : tensor<4xf64>
    %1 = graph.convert %x : tensor<4xf64> to tensor<4xf32>
    %2 = graph.div %k, %k : tensor<4xi64>, tensor<4xi64>
    %3 = graph.reduce_sum %k dims [0] : tensor<4xi64>
    %4 = graph.neg %e : tensor<0x4xf32>
    %5 = graph.slice %k [0] to [2] by [1] : tensor<4xi64>
    %6 = graph.constant dense<[1.0, 2.0]> : tensor<2xf32>
    return
  })");
  ASSERT_TRUE(function);
  for (Operation &op : function.getBody().front().without_terminator())
    EXPECT_FALSE(isFusible(&op)) << op.getName().getStringRef().str();
}

TEST_F(RowLoopsTest, WhatMayBeOverwritten) {
  std::optional<RowLoops> found =
      loops("(%x: tensor<4x5xf32>, %y: tensor<4x5xf32>, %w: tensor<5xf32>, %h: tensor<4x5xbf16>)"
            " -> (tensor<4x5xf32>, tensor<4x5xf32>, tensor<5xf32>, tensor<4xf32>)",
            R"(
    %early = graph.mul %y, %x : tensor<4x5xf32>, tensor<4x5xf32>
    %m = graph.reduce_max %x dims [1] keep_dims : tensor<4x5xf32>
    %d = graph.sub %x, %m : tensor<4x5xf32>, tensor<4x1xf32>
    %hf = graph.convert %h : tensor<4x5xbf16> to tensor<4x5xf32>
    %late = graph.add %d, %hf : tensor<4x5xf32>, tensor<4x5xf32>
    %s = graph.reduce_sum %late dims [0] : tensor<4x5xf32>
    %sum = graph.add %s, %w : tensor<5xf32>, tensor<5xf32>
    %row = graph.reshape %m : tensor<4x1xf32> to tensor<4xf32>
    return %early, %late, %sum, %row : tensor<4x5xf32>, tensor<4x5xf32>, tensor<5xf32>, tensor<4xf32>)");
  ASSERT_TRUE(found);
  // x is read again in the second phase, y only in the first; h is shorter; w is added at the end.
  const bool may[4][4] = {{false, true, false, false},
                          {true, true, false, false},
                          {false, false, true, false},
                          {false, false, false, false}};
  for (unsigned input = 0; input < 4; ++input)
    for (unsigned output = 0; output < 4; ++output)
      EXPECT_EQ(found->mayOverwrite(input, output), may[input][output])
          << "input " << input << ", output " << output;
}

TEST_F(RowLoopsTest, WhatIsReadBackFreesWhatItCameFrom) {
  // Logits under a mask: later phases have them from the result, which may lie where the input was.
  const std::string type = "(%x: tensor<4x5xf32>, %is: tensor<5xi1>) -> (tensor<4x5xf32>, "
                           "tensor<4x1xf32>)";
  const std::string ops = R"(
    %low = graph.constant dense<-1.0e9> : tensor<f32>
    %y = graph.select %is, %x, %low : tensor<5xi1>, tensor<4x5xf32>, tensor<f32>
    %m = graph.reduce_max %y dims [1] keep_dims : tensor<4x5xf32>
    %d = graph.sub %y, %m : tensor<4x5xf32>, tensor<4x1xf32>
    %e = graph.exp %d : tensor<4x5xf32>
    %s = graph.reduce_sum %e dims [1] keep_dims : tensor<4x5xf32>
    return )";
  std::optional<RowLoops> found = loops(type, ops + "%y, %s : tensor<4x5xf32>, tensor<4x1xf32>");
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->mayOverwrite(0, 0));
  // Without it they would come from the input again.
  found = loops(type, ops + "%d, %s : tensor<4x5xf32>, tensor<4x1xf32>");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->phaseOf(found->getOutputs()[0]), 1u);
  EXPECT_TRUE(found->mayOverwrite(0, 0));
  found = loops("(%x: tensor<4x5xf32>) -> (tensor<4x5xf32>, tensor<4x5xf32>)", R"(
    %y = graph.neg %x : tensor<4x5xf32>
    %m = graph.reduce_max %y dims [1] keep_dims : tensor<4x5xf32>
    %d = graph.sub %x, %m : tensor<4x5xf32>, tensor<4x1xf32>
    return %y, %d : tensor<4x5xf32>, tensor<4x5xf32>)");
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->mayOverwrite(0, 0));
  EXPECT_TRUE(found->mayOverwrite(0, 1));
}

TEST_F(RowLoopsTest, OtherPlacesMayNotBeOverwritten) {
  // The transposed one has the element that is written elsewhere; the row is read by all rows.
  std::optional<RowLoops> found =
      loops("(%x: tensor<4x4xf32>, %t: tensor<4x4xf32>) -> tensor<4x4xf32>", R"(
    %r = graph.transpose %t [1, 0] : tensor<4x4xf32>
    %y = graph.add %x, %r : tensor<4x4xf32>, tensor<4x4xf32>
    return %y : tensor<4x4xf32>)");
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->mayOverwrite(0, 0));
  EXPECT_FALSE(found->mayOverwrite(1, 0));
  // What rows read may not be overwritten by what is known when they are done: another thread may
  // be at it.
  found = loops("(%x: tensor<4x5xf32>, %w: tensor<5xf32>) -> (tensor<4x5xf32>, tensor<5xf32>)", R"(
    %y = graph.mul %x, %w : tensor<4x5xf32>, tensor<5xf32>
    %s = graph.reduce_sum %y dims [0] : tensor<4x5xf32>
    return %y, %s : tensor<4x5xf32>, tensor<5xf32>)");
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->mayOverwrite(1, 1));
}

TEST_F(RowLoopsTest, ColumnsLieOneAfterAnother) {
  std::optional<RowLoops> found = loops("(%x: tensor<4x5xf32>, %r: tensor<4x1xf32>)"
                                        " -> (tensor<4x5xf32>, tensor<4xf32>)",
                                        R"(
    %s = graph.reduce_sum %x dims [1] : tensor<4x5xf32>
    %y = graph.add %x, %r : tensor<4x5xf32>, tensor<4x1xf32>
    return %y, %s : tensor<4x5xf32>, tensor<4xf32>)");
  ASSERT_TRUE(found);
  auto fits = [&](Strides x, Strides y) {
    return RowKernel::of(*found, {x, Strides{1, 1}}, {y, Strides{1}}, 1).has_value();
  };
  EXPECT_TRUE(fits({5, 1}, {5, 1}));
  EXPECT_TRUE(fits({64, 1}, {8, 1}));
  EXPECT_FALSE(fits({1, 4}, {5, 1})); // transposed
  EXPECT_FALSE(fits({5, 1}, {1, 4}));
  EXPECT_FALSE(fits({10, 2}, {5, 1}));
  EXPECT_TRUE(fits({5, 0}, {5, 1}));  // one value for the row
  EXPECT_FALSE(fits({5, 1}, {5, 0})); // written five times
}

} // namespace
} // namespace deepshard
