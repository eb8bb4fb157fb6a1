//===- CompileTest.cpp - kernels are compiled, linked, loaded and run -------------------------===//

#include "CodegenTesting.h"

#include <cmath>
#include <numeric>

using namespace deepshard;
using namespace deepshard::runtime;

namespace {

/// out[i] = scale * in[i] + 1, 16 at a time, the last by a mask.
std::string scaleKernel(const std::string &name, const std::string &scale) {
  return R"(func.func @)" + name + R"(_0(%operands: !llvm.ptr, %begin: i64, %end: i64, %slot: i64) {
    %0 = llvm.load %operands : !llvm.ptr -> !llvm.ptr
    %p1 = llvm.getelementptr %operands[1] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
    %1 = llvm.load %p1 : !llvm.ptr -> !llvm.ptr
    %c16 = arith.constant 16 : i64
    %scale = arith.constant dense<)" +
         scale + R"(> : vector<16xf32>
    %one = arith.constant dense<1.0> : vector<16xf32>
    %zero = arith.constant dense<0.0> : vector<16xf32>
    %lanes = arith.constant dense<[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]> : vector<16xi64>
    scf.for %i = %begin to %end step %c16 : i64 {
      %left = arith.subi %end, %i : i64
      %lefts = vector.broadcast %left : i64 to vector<16xi64>
      %mask = arith.cmpi slt, %lanes, %lefts : vector<16xi64>
      %from = llvm.getelementptr %0[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
      %to = llvm.getelementptr %1[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
      %x = llvm.intr.masked.load %from, %mask, %zero {alignment = 4 : i32} : (!llvm.ptr, vector<16xi1>, vector<16xf32>) -> vector<16xf32>
      %y = math.fma %x, %scale, %one : vector<16xf32>
      llvm.intr.masked.store %y, %to, %mask {alignment = 4 : i32} : vector<16xf32>, vector<16xi1> into !llvm.ptr
    }
    return
  })";
}

Attributes attributes(std::vector<int64_t> extents, std::vector<int64_t> chunks,
                      int64_t workspaceBytes = 0) {
  Attributes result;
  result.set("extents", std::move(extents));
  result.set("chunks", std::move(chunks));
  result.set("workspace_bytes", workspaceBytes);
  return result;
}

TensorDesc floats(int64_t count) { return TensorDesc::contiguous(DType::F32, {count}); }

class CompileTest : public CodegenTest {
protected:
  std::string compile(llvm::ArrayRef<KernelSource> kernels) {
    llvm::FailureOr<std::string> object = compileKernels(kernels, options);
    EXPECT_TRUE(succeeded(object)) << messages;
    return succeeded(object) ? *object : "";
  }
};

TEST_F(CompileTest, SeveralKernelsOnEveryLevel) {
  const int64_t count = 1000003;
  for (const std::string &level : runnableLevels()) {
    options.cpuLevel = level;
    Code code(compile({source("twice", scaleKernel("twice", "2.0")),
                       source("half", scaleKernel("half", "0.5"))}));
    GeneratedProvider provider(&code);
    for (auto [name, scale] : {std::pair("twice", 2.0f), std::pair("half", 0.5f)})
      for (int threads : {1, 2, 3}) {
        std::vector<float> in(count), out(count + 1, -1);
        std::iota(in.begin(), in.end(), 0.0f);
        KernelSpec spec{name, {floats(count)}, {floats(count)}, attributes({count}, {3}), threads};
        ASSERT_EQ(provider.whyNot(spec), std::nullopt);
        void *input = in.data(), *output = out.data();
        provider.prepare(spec)->run({{&input, 1}, {&output, 1}, nullptr});
        for (int64_t i = 0; i < count; ++i)
          ASSERT_EQ(out[i], std::fma(in[i], scale, 1.0f)) << level << " " << name << " " << i;
        EXPECT_EQ(out[count], -1);
      }
  }
}

} // namespace
