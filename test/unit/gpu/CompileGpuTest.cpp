//===- CompileGpuTest.cpp - code for GPUs from kernels ----------------------------------------===//

#include "GpuKernelTesting.h"

#include "passes/kernels/codegen/Assemble.h"

#include "llvm/Support/FileSystem.h"

#include <gmock/gmock.h>

using namespace mlir;

namespace deepshard {
namespace {

using testing::HasSubstr;

class CompileGpuTest : public GpuKernelTest {
protected:
  /// Two kernels: x + x and x * x.
  std::vector<KernelSource> twoKernels() {
    std::vector<KernelSource> sources;
    for (std::string op : {"add", "mul"}) {
      func::FuncOp function = parse(
          "func.func @" + op + "(%x: tensor<8x8xf32>) -> tensor<8x8xf32> {\n  %y = graph." + op +
              " %x, %x : tensor<8x8xf32>, tensor<8x8xf32>\n" + "  return %y : tensor<8x8xf32>\n}",
          op);
      GpuCase *test = addGpu(function, {});
      sources.push_back({test->name, *test->source});
    }
    return sources;
  }

  static size_t count(StringRef text, StringRef part) { return text.count(part); }
};

TEST_F(CompileGpuTest, KernelsAreOneText) {
  for (std::string chip : {"sm_80", "sm_90", "sm_90a", "sm_100", "sm_100a"}) {
    GpuCodegenOptions options;
    options.chip = chip;
    FailureOr<GpuCode> code = compileGpuKernels(twoKernels(), options);
    ASSERT_TRUE(succeeded(code)) << chip;
    EXPECT_EQ(count(code->ptx, ".version"), 1u);
    EXPECT_EQ(count(code->ptx, ".target " + chip + "\n"), 1u) << code->ptx;
    EXPECT_EQ(count(code->ptx, ".visible .entry"), 2u);
    EXPECT_EQ(code->cubin, "");
  }
}

TEST_F(CompileGpuTest, EqualKernelsGiveEqualCode) {
  llvm::SmallString<128> directory;
  ASSERT_FALSE(llvm::sys::fs::createUniqueDirectory("gpu-cache", directory));
  GpuCodegenOptions options;
  options.chip = "sm_90";
  options.cacheDirectory = std::string(directory);
  std::vector<KernelSource> sources = twoKernels();
  FailureOr<GpuCode> first = compileGpuKernels(sources, options),
                     second = compileGpuKernels(sources, options);
  options.cacheDirectory.clear();
  FailureOr<GpuCode> third = compileGpuKernels(sources, options);
  llvm::sys::fs::remove_directories(directory);
  ASSERT_TRUE(succeeded(first) && succeeded(second) && succeeded(third));
  EXPECT_EQ(first->ptx, second->ptx);
  EXPECT_EQ(first->ptx, third->ptx);
}

TEST_F(CompileGpuTest, UnknownChip) {
  std::string messages;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    messages += diagnostic.str();
    return success();
  });
  GpuCodegenOptions options;
  options.chip = "sm_10";
  EXPECT_TRUE(failed(compileGpuKernels(twoKernels(), options)));
  EXPECT_THAT(messages, HasSubstr("there is no code generation for the GPU \"sm_10\"; there is for "
                                  "sm_80, sm_90, sm_90a, sm_100, sm_100a"));
}

TEST_F(CompileGpuTest, AssemblerThatFails) {
  llvm::Expected<Assembled> assembled = assemble("no PTX", "sm_90", "/bin/false");
  ASSERT_FALSE(static_cast<bool>(assembled));
  EXPECT_THAT(llvm::toString(assembled.takeError()),
              HasSubstr("kernels cannot be assembled: /bin/false"));
}

TEST_F(CompileGpuTest, WhatTheAssemblerSays) {
  std::vector<GpuResources> resources = parseResources(
      "ptxas info    : 0 bytes gmem\n"
      "ptxas info    : Compiling entry function 'k_0' for 'sm_90'\n"
      "ptxas info    : Function properties for k_0\n"
      "    24 bytes stack frame, 16 bytes spill stores, 8 bytes spill loads\n"
      "ptxas info    : Used 63 registers, used 1 barriers, 128 bytes smem, 24 bytes cumulative "
      "stack size\n"
      "ptxas info    : Compile time = 1.0 ms\n"
      "ptxas info    : Compiling entry function 'k_1' for 'sm_90'\n"
      "ptxas info    : Function properties for k_1\n"
      "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
      "ptxas info    : Used 8 registers, used 0 barriers\n");
  ASSERT_EQ(resources.size(), 2u);
  EXPECT_EQ(resources[0].function, "k_0");
  EXPECT_EQ(resources[0].registers, 63);
  EXPECT_EQ(resources[0].spilledBytes, 24);
  EXPECT_EQ(resources[0].sharedBytes, 128);
  EXPECT_EQ(resources[1].function, "k_1");
  EXPECT_EQ(resources[1].registers, 8);
  EXPECT_EQ(resources[1].spilledBytes, 0);
}

} // namespace
} // namespace deepshard
