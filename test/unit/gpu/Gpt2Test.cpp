//===- Gpt2Test.cpp - the kernels of GPT-2's training step ------------------------------------===//
//
// The step of one layer of 256 columns with dropout, as it is before kernels are chosen, goes
// through choose-kernels, as for a GPU, and fuse-kernels. Every kernel is generated, run both ways
// and compared.
//
//===------------------------------------------------------------------------------------------===//

#include "GpuKernelTesting.h"

#include "dialects/sharding/Sharding.h"
#include "passes/kernels/Passes.h"
#include "passes/kernels/codegen/CompileGpu.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/Support/MemoryBuffer.h"

#include <iostream>
#include <regex>

using namespace mlir;

namespace deepshard {
namespace {

using graph::HostTensor;

class Gpt2Test : public GpuKernelTest, public testing::WithParamInterface<std::string> {
protected:
  /// The fused step, in a module of its own; its kernels are private functions.
  OwningOpRef<ModuleOp> fusedStep() {
    std::string element = GetParam();
    context.loadDialect<sharding::ShardingDialect>();
    std::string path =
        std::string(GPT2_STEPS) + "gpt2-" + (element == "f32" ? "f32" : "bf16") + ".mlir";
    auto file = llvm::MemoryBuffer::getFile(path);
    EXPECT_TRUE(static_cast<bool>(file)) << path;
    std::string text = (*file)->getBuffer().str();
    if (element == "f16")
      text = std::regex_replace(text, std::regex("bf16"), "f16");
    OwningOpRef<ModuleOp> step = parseSourceString<ModuleOp>(text, &context);
    PassManager passes(&context);
    ChooseKernelsPassOptions options;
    options.isGpu = true;
    passes.addPass(createChooseKernelsPass(options));
    passes.addPass(createCSEPass());
    passes.addPass(createFuseKernelsPass());
    EXPECT_TRUE(step && succeeded(passes.run(*step)));
    return step;
  }

  /// Positive floats: none of the sums and roots of a step is near 0.
  std::vector<HostTensor> argumentsOf(func::FuncOp function) {
    std::vector<HostTensor> arguments = randomArguments(function);
    for (HostTensor &argument : arguments)
      if (argument.getType().getElementType().isF32())
        for (int64_t i = 0, end = argument.getType().getNumElements(); i < end; ++i)
          argument.as<float>()[i] = std::abs(argument.as<float>()[i]) + 0.01f;
    return arguments;
  }
};

TEST_P(Gpt2Test, KernelsComputeWhatTheReferenceDoes) {
  OwningOpRef<ModuleOp> step = fusedStep();
  ASSERT_TRUE(step);
  ptx::Traffic all;
  int kernels = 0;
  for (auto function : step->getOps<func::FuncOp>()) {
    if (!function.isPrivate() || !RowLoops::of(function))
      continue;
    ++kernels;
    std::vector<HostTensor> arguments = argumentsOf(function);
    // The reference knows no ids that are arguments.
    function.walk([&](graph::DropoutOp dropout) {
      if (auto index = dropout->getAttrOfType<IntegerAttr>(graph::kIdArgumentAttr))
        dropout.setId(static_cast<uint64_t>(*arguments[index.getInt()].as<int64_t>()));
    });
    GpuCase *test = addGpu(function, std::move(arguments));
    ASSERT_TRUE(test);
    compile(*test);
    runAndCheck(*test, 3e-5);
    if (HasFatalFailure())
      return;
    all += traffic;
    double used = static_cast<double>(traffic.used) / static_cast<double>(traffic.touched);
    std::string text;
    llvm::raw_string_ostream(text) << function;
    EXPECT_GE(used, 0.95) << text;
  }
  std::cout << kernels << " kernels use "
            << 100.0 * static_cast<double>(all.used) / static_cast<double>(all.touched)
            << " % of the sectors they touch\n";
  EXPECT_GT(kernels, 10);
}

/// ptxas, where there is one, keeps everything in registers.
TEST_P(Gpt2Test, NothingIsSpilled) {
  std::string assembler = findGpuAssembler();
  if (assembler.empty())
    GTEST_SKIP() << "there is no ptxas on the PATH";
  OwningOpRef<ModuleOp> step = fusedStep();
  ASSERT_TRUE(step);
  std::vector<KernelSource> sources;
  for (auto function : step->getOps<func::FuncOp>())
    if (function.isPrivate() && RowLoops::of(function)) {
      GpuCase *test = addGpu(function, {});
      ASSERT_TRUE(test);
      sources.push_back({test->name, *test->source});
    }
  std::vector<std::string> chips = {"sm_90"};
  if (GetParam() == "bf16")
    chips = {"sm_80", "sm_90", "sm_90a", "sm_100"};
  for (const std::string &chip : chips) {
    GpuCodegenOptions options;
    options.chip = chip;
    options.assembler = assembler;
    FailureOr<GpuCode> code = compileGpuKernels(sources, options);
    ASSERT_TRUE(succeeded(code));
    EXPECT_GE(code->resources.size(), sources.size());
    int64_t most = 0;
    for (const GpuResources &function : code->resources) {
      EXPECT_EQ(function.spilledBytes, 0) << function.function << " for " << chip;
      most = std::max(most, function.registers);
    }
    std::cout << chip << ": " << code->resources.size() << " functions of at most " << most
              << " registers, " << code->cubin.size() << " bytes\n";
  }
}

INSTANTIATE_TEST_SUITE_P(Types, Gpt2Test, testing::Values("f32", "bf16", "f16"));

} // namespace
} // namespace deepshard
