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
  for (int i = 0; i < 120; ++i) {
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

} // namespace
} // namespace deepshard
