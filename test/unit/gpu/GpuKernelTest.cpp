//===- GpuKernelTest.cpp - kernels for GPUs against the reference interpreter -----------------===//

#include "GpuKernelTesting.h"
#include "test/unit/rowloops/GroupGenerator.h"

#include <iostream>

using namespace mlir;

namespace deepshard {
namespace {

using graph::HostTensor;
using Pairs = SmallVector<std::pair<unsigned, unsigned>>;
using Form = GpuKernel::Form;

/// Each result in the place of an input that it may overwrite.
TEST_F(GpuKernelTest, RandomGroupsComputeWhatTheReferenceDoes) {
  int tiles = 0, rows = 0, blocks = 0, longRows = 0, columnLoops = 0, narrow = 0, inPlace = 0;
  for (int i = 0; i < 90; ++i) {
    GroupGenerator generator(*module, random);
    func::FuncOp function =
        generator.generate("group" + std::to_string(i), 1 + static_cast<int>(random() % 24));
    GpuCase *test = addGpu(function, randomArguments(function), random() % 2);
    if (!test)
      continue;
    const GpuKernel &kernel = *test->kernel;
    tiles += kernel.form == Form::Tile;
    rows += kernel.form == Form::Row && kernel.threadsPerRow <= GpuKernel::kWarp;
    blocks += kernel.form == Form::Row && kernel.threadsPerRow > GpuKernel::kWarp;
    longRows += kernel.form == Form::LongRow;
    columnLoops += kernel.getRowKernel().hasColumnLoop();
    narrow += kernel.width == 1;
    compile(*test);
    if (HasFatalFailure())
      return;
    runAndCheck(*test, 3e-5);
    if (HasFatalFailure())
      return;
    std::vector<HostTensor> apart = test->results();
    Pairs pairs;
    for (unsigned output = 0; output < test->outputs.size(); ++output)
      for (unsigned input = 0; input < test->inputs.size(); ++input)
        if (kernel.getLoops().mayOverwrite(input, output) &&
            test->inputs[input].desc == test->outputs[output].desc &&
            test->shifts[input] == test->shifts[test->inputs.size() + output] &&
            llvm::none_of(pairs,
                          [&](auto pair) { return pair.first == input || pair.second == output; }))
          pairs.push_back({input, output});
    if (pairs.empty())
      continue;
    ++inPlace;
    for (Way way : {Way::Host, Way::Interpreter}) {
      ASSERT_EQ(run(*test, way, pairs), "");
      std::vector<HostTensor> results = test->results();
      for (size_t k = 0; k < results.size(); ++k)
        ASSERT_EQ(difference(results[k], apart[k], 1e-6), "") << "result " << k;
    }
  }
  std::cout << gpuCases.size() << " groups: " << tiles << " of tiles, " << rows
            << " of rows in a warp, " << blocks << " of rows in a block, " << longRows
            << " of long rows; " << columnLoops << " with sums along rows, " << narrow
            << " of single elements, " << inPlace << " in place\n";
  EXPECT_GT(std::min({tiles, rows, columnLoops, narrow, inPlace}), 10);
}

/// Rows of every form, with and without lanes, threads or rows to spare.
TEST_F(GpuKernelTest, ShapesOfRows) {
  int warps = 0, blocks = 0, longRows = 0;
  struct Shape {
    int rows, columns;
  };
  for (Shape shape :
       {Shape{5, 2}, Shape{5, 3}, Shape{9, 7}, Shape{2, 16}, Shape{33, 24}, Shape{70, 31},
        Shape{8, 32}, Shape{40, 96}, Shape{3, 130}, Shape{17, 256}, Shape{5, 1000}, Shape{4, 2048},
        Shape{3, 2051}, Shape{40, 2052}, Shape{2, 5000}, Shape{3, 20000}, Shape{2, 20001}})
    for (bool hasSums : {false, true}) {
      std::string n = std::to_string(shape.columns), r = std::to_string(shape.rows),
                  x = "tensor<" + r + "x" + n + "xf32>", h = "tensor<" + r + "x" + n + "xbf16>",
                  w = "tensor<" + n + "xf32>", row = "tensor<" + r + "xf32>",
                  name = "f" + r + "x" + n + (hasSums ? "sums" : "");
      func::FuncOp function =
          parse("func.func @" + name + "(%x: " + x + ", %w: " + w + ", %b: " + w + ") -> (" + h +
                    ", " + row + ", " + x + (hasSums ? ", " + w : "") + ") {\n" +
                    "  %y, %mean, %rstd = graph.layer_norm %x, %w, %b eps 1.0e-5 : " + x + ", " +
                    w + ", " + w + "\n  %h = graph.convert %y : " + x + " to " + h +
                    "\n  %p = graph.softmax %x dim 1 : " + x + "\n" +
                    (hasSums ? "  %s = graph.reduce_sum %p dims [0] : " + x + "\n" : "") +
                    "  return %h, %mean, %p" + (hasSums ? ", %s" : "") + " : " + h + ", " + row +
                    ", " + x + (hasSums ? ", " + w : "") + "\n}",
                name);
      decompose(function);
      GpuCase *test = addGpu(function, randomArguments(function));
      ASSERT_TRUE(test) << name;
      warps += test->kernel->form == Form::Row && test->kernel->threadsPerRow <= 32;
      blocks += test->kernel->form == Form::Row && test->kernel->threadsPerRow > 32;
      longRows += test->kernel->form == Form::LongRow;
      compile(*test);
      runAndCheck(*test, 1e-5);
      if (HasFatalFailure())
        return;
    }
  std::cout << warps << " of rows in a warp, " << blocks << " of rows in a block, " << longRows
            << " of long rows\n";
  EXPECT_GT(std::min({warps, blocks, longRows}), 2);
}

/// The same bits every time: threads in any order, and whatever the blocks.
TEST_F(GpuKernelTest, SumsAlongRowsHaveOneOrder) {
  std::string x = "tensor<300x48xf32>", w = "tensor<48xf32>";
  func::FuncOp function =
      parse("func.func @f(%x: " + x + ") -> " + w +
            " {\n  %s = graph.reduce_sum %x dims [0] : " + x + "\n  return %s : " + w + "\n}");
  GpuCase *test = addGpu(function, randomArguments(function));
  ASSERT_TRUE(test);
  EXPECT_GT(test->kernel->getChunks(), 8);
  compile(*test);
  ASSERT_EQ(run(*test, Way::Host), "");
  std::vector<HostTensor> first = test->results();
  for (int i = 0; i < 4; ++i)
    for (Way way : {Way::Host, Way::Interpreter}) {
      ASSERT_EQ(run(*test, way), "");
      EXPECT_EQ(difference(test->results()[0], first[0], 0), "");
    }
}

/// A comparison with a constant is made in the type of what was widened for it (`setp.lt.bf16`):
/// the tail of a GELU is chosen by the sign.
TEST_F(GpuKernelTest, NarrowFloatsAreCompared) {
  for (std::string type : {"bf16", "f16"}) {
    std::string x = "tensor<1000x" + type + ">";
    func::FuncOp function =
        parse("func.func @" + type + "(%x: " + x + ") -> " + x + " {\n  %y = graph.gelu %x : " + x +
                  "\n  return %y : " + x + "\n}",
              type);
    decompose(function);
    GpuCase *test = addGpu(function, randomArguments(function));
    ASSERT_TRUE(test);
    compile(*test);
    ASSERT_FALSE(HasFatalFailure());
    runAndCheck(*test, 1e-2);
  }
}

} // namespace
} // namespace deepshard
