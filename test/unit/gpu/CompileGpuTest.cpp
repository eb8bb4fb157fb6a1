//===- CompileGpuTest.cpp - code for GPUs from kernels ----------------------------------------===//

#include "GpuKernelTesting.h"

#include "passes/kernels/codegen/Assemble.h"

#include "llvm/Support/FileSystem.h"

#include <fstream>
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
  llvm::Expected<Assembled> assembled = assemble("no PTX", "sm_90", "/bin/false", "");
  ASSERT_FALSE(static_cast<bool>(assembled));
  EXPECT_THAT(llvm::toString(assembled.takeError()),
              HasSubstr("kernels cannot be assembled: /bin/false"));
}

/// A program of ours that counts its runs: again for another text, another chip, another program.
TEST_F(CompileGpuTest, AssembledOnce) {
  llvm::SmallString<128> directory;
  ASSERT_FALSE(llvm::sys::fs::createUniqueDirectory("gpu-cubins", directory));
  const std::string runs = (directory + "/runs").str(), program = (directory + "/ptxas").str();
  auto write = [&](const std::string &made) {
    std::ofstream(program) << "#!/bin/sh\necho run >> " << runs << "\necho \"ptxas info    : "
                           << "Compiling entry function 'k_0' for 'sm_90'\nUsed 7 registers\"\n"
                           << "eval out=\\${$#}\nprintf '" << made << "' > $out\n";
    llvm::sys::fs::setPermissions(program, llvm::sys::fs::all_all);
  };
  auto assembled = [&](StringRef ptx, StringRef chip) {
    llvm::Expected<Assembled> result = assemble(ptx, chip, program, (directory + "/cache").str());
    if (!result) {
      ADD_FAILURE() << llvm::toString(result.takeError());
      return std::string();
    }
    std::vector<GpuResources> resources = parseResources(result->messages);
    EXPECT_EQ(resources.size(), 1u);
    EXPECT_EQ(resources.front().registers, 7);
    return result->cubin;
  };
  auto count = [&] {
    std::ifstream stream(runs);
    std::string line;
    int lines = 0;
    while (std::getline(stream, line))
      ++lines;
    return lines;
  };
  write("first\\0cubin");
  const std::string cubin("first\0cubin", 11);
  EXPECT_EQ(assembled("one", "sm_90"), cubin);
  EXPECT_EQ(assembled("one", "sm_90"), cubin);
  EXPECT_EQ(count(), 1);
  EXPECT_EQ(assembled("two", "sm_90"), cubin);
  EXPECT_EQ(assembled("one", "sm_100"), cubin);
  EXPECT_EQ(count(), 3);
  write("another");
  EXPECT_EQ(assembled("one", "sm_90"), "another");
  EXPECT_EQ(count(), 4);
  llvm::sys::fs::remove_directories(directory);
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
