//===- CompileTest.cpp - kernels are compiled, linked, loaded and run -------------------------===//

#include "CodegenTesting.h"

#include "runtime/plan/SharedObject.h"

#include <gmock/gmock.h>

#include <cmath>
#include <numeric>

using namespace deepshard;
using namespace deepshard::runtime;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

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

/// Loop 0 leaves the sum of its chunk in the workspace, at its slot; loop 1 adds the slots.
std::string sumKernel(int slots) {
  return R"(
  func.func @sum_0(%operands: !llvm.ptr, %begin: i64, %end: i64, %slot: i64) {
    %x = llvm.load %operands : !llvm.ptr -> !llvm.ptr
    %p2 = llvm.getelementptr %operands[2] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
    %partials = llvm.load %p2 : !llvm.ptr -> !llvm.ptr
    %c1 = arith.constant 1 : i64
    %zero = arith.constant 0.0 : f32
    %sum = scf.for %i = %begin to %end step %c1 iter_args(%s = %zero) -> (f32) : i64 {
      %at = llvm.getelementptr %x[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
      %v = llvm.load %at : !llvm.ptr -> f32
      %t = arith.addf %s, %v : f32
      scf.yield %t : f32
    }
    %to = llvm.getelementptr %partials[%slot] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    llvm.store %sum, %to : f32, !llvm.ptr
    return
  }
  func.func @sum_1(%operands: !llvm.ptr, %begin: i64, %end: i64, %slot: i64) {
    %p1 = llvm.getelementptr %operands[1] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
    %y = llvm.load %p1 : !llvm.ptr -> !llvm.ptr
    %p2 = llvm.getelementptr %operands[2] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
    %partials = llvm.load %p2 : !llvm.ptr -> !llvm.ptr
    %c0 = arith.constant 0 : i64
    %c1 = arith.constant 1 : i64
    %slots = arith.constant )" +
         std::to_string(slots) + R"( : i64
    %zero = arith.constant 0.0 : f32
    %sum = scf.for %i = %c0 to %slots step %c1 iter_args(%s = %zero) -> (f32) : i64 {
      %at = llvm.getelementptr %partials[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
      %v = llvm.load %at : !llvm.ptr -> f32
      %t = arith.addf %s, %v : f32
      scf.yield %t : f32
    }
    llvm.store %sum, %y : f32, !llvm.ptr
    return
  })";
}

/// Bits follow from the chunks, whatever the number of threads; a chunk may be empty.
TEST_F(CompileTest, LoopsRunOneAfterAnother) {
  options.cpuLevel = "x86-64-v3";
  constexpr int kSlots = 7;
  Code code(compile({source("sum", sumKernel(kSlots))}));
  GeneratedProvider provider(&code);
  for (int64_t count : {0, 3, 100000}) {
    std::vector<float> in(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i)
      in[i] = 1.0f / static_cast<float>(i + 1);
    float expected = 0;
    for (int64_t slot = 0; slot < kSlots; ++slot)
      expected += std::accumulate(in.begin() + count * slot / kSlots,
                                  in.begin() + count * (slot + 1) / kSlots, 0.0f);
    for (int threads : {1, 2, 3, 8}) {
      KernelSpec spec{"sum",
                      {floats(count)},
                      {floats(1)},
                      attributes({count, 1}, {kSlots, 1}, 4 * kSlots),
                      threads};
      EXPECT_EQ(provider.workspaceBytes(spec), 4 * kSlots);
      std::vector<float> workspace(kSlots, NAN);
      float result = -1;
      void *input = in.data(), *output = &result;
      auto kernel = provider.prepare(spec);
      for (int repetition = 0; repetition < 50; ++repetition) {
        kernel->run({{&input, 1}, {&output, 1}, workspace.data()});
        ASSERT_EQ(result, expected) << count << " with " << threads << " threads";
      }
    }
  }
}

TEST_F(CompileTest, ChunksAreWorthATeam) {
  EXPECT_EQ(chunkCount(1000, 100, 4), 4);
  EXPECT_EQ(chunkCount(399, 100, 4), 3);
  EXPECT_EQ(chunkCount(99, 100, 4), 1);
  EXPECT_EQ(chunkCount(0, 100, 4), 1);
  EXPECT_EQ(chunkCount(2, 1, 4), 2);
}

TEST_F(CompileTest, UnsoundSpecsAreRefused) {
  options.cpuLevel = "x86-64-v3";
  Code code(compile({source("sum", sumKernel(1))}));
  GeneratedProvider provider(&code);
  auto whyNot = [&](const std::string &name, Attributes values) {
    return provider.whyNot({name, {floats(1)}, {floats(1)}, std::move(values), 1}).value_or("");
  };
  EXPECT_EQ(whyNot("sum", attributes({1, 1}, {1, 1})), "");
  EXPECT_THAT(whyNot("sum", attributes({1, 1, 1}, {1, 1, 1})), HasSubstr("has no function sum_2"));
  EXPECT_THAT(whyNot("mean", attributes({1}, {1})), HasSubstr("has no function mean_0"));
  EXPECT_THAT(whyNot("sum", attributes({}, {})), HasSubstr("at least one loop"));
  EXPECT_THAT(whyNot("sum", attributes({1, 1}, {1})), HasSubstr("2 loops, chunks has 1"));
  EXPECT_THAT(whyNot("sum", attributes({-1}, {1})), HasSubstr("-1 of loop 0"));
  EXPECT_THAT(whyNot("sum", attributes({1}, {0})), HasSubstr("0 of loop 0"));
  EXPECT_THAT(whyNot("sum", attributes({1}, {1}, -4)), HasSubstr("workspace_bytes is negative"));
  EXPECT_THAT(whyNot("sum", {}), HasSubstr("extents is missing"));
  // Without code it plans, and prepares nothing.
  const KernelProvider &planning = *findProvider("generated");
  KernelSpec spec{"mean", {}, {floats(1)}, attributes({1}, {1}), 1};
  EXPECT_EQ(planning.whyNot(spec), std::nullopt);
  EXPECT_THROW(planning.prepare(spec), std::invalid_argument);
}

TEST_F(CompileTest, EqualInputGivesEqualBytes) {
  options.cpuLevel = "x86-64-v4";
  auto kernels = [&] {
    return std::vector{source("sum", sumKernel(3)), source("twice", scaleKernel("twice", "2.0")),
                       source("half", scaleKernel("half", "0.5")),
                       source("twice", scaleKernel("twice", "2.0"))};
  };
  options.threads = 1;
  std::string first = compile(kernels());
  options.threads = 3;
  EXPECT_EQ(compile(kernels()), first);
  SharedObject object = readSharedObject(first);
  EXPECT_EQ(object.fault, "");
  EXPECT_FALSE(object.needsLibraries);
  EXPECT_THAT(object.functions, UnorderedElementsAre("sum_0", "sum_1", "twice_0", "half_0"));
  options.cpuLevel = "x86-64-v3";
  EXPECT_NE(compile(kernels()), first);
}

TEST_F(CompileTest, NoKernelsAreNoCode) {
  options.cpuLevel = "x86-64-v3";
  EXPECT_EQ(compile({}), "");
}

/// A loop that clears memory stays one; nothing is called.
TEST_F(CompileTest, LoopsDoNotBecomeCalls) {
  options.cpuLevel = "x86-64-v3";
  Code code(compile({source("clear", R"(
    func.func @clear_0(%operands: !llvm.ptr, %begin: i64, %end: i64, %slot: i64) {
      %0 = llvm.load %operands : !llvm.ptr -> !llvm.ptr
      %p1 = llvm.getelementptr %operands[1] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
      %1 = llvm.load %p1 : !llvm.ptr -> !llvm.ptr
      %c1 = arith.constant 1 : i64
      %zero = arith.constant 0.0 : f32
      scf.for %i = %begin to %end step %c1 : i64 {
        %to = llvm.getelementptr %0[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
        llvm.store %zero, %to : f32, !llvm.ptr
      }
      scf.for %i = %begin to %end step %c1 : i64 {
        %from = llvm.getelementptr %0[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
        %to = llvm.getelementptr %1[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32
        %x = llvm.load %from : !llvm.ptr -> f32
        llvm.store %x, %to : f32, !llvm.ptr
      }
      return
    })")}));
  std::vector<float> a(1000, 1), b(1000, 1);
  void *operands[] = {a.data(), b.data()};
  using Function = void (*)(void **, int64_t, int64_t, int64_t);
  reinterpret_cast<Function>(code.find("clear_0"))(operands, 1, 999, 0);
  EXPECT_EQ(std::accumulate(a.begin(), a.end(), 0.0f), 2);
  EXPECT_EQ(std::accumulate(b.begin(), b.end(), 0.0f), 2);
}

/// Every kernel that cannot be compiled is named, with what is missing.
TEST_F(CompileTest, CallsAreRefused) {
  options.cpuLevel = "x86-64-v3";
  std::string arguments = "(%operands: !llvm.ptr, %begin: i64, %end: i64, %slot: i64) {\n";
  EXPECT_TRUE(failed(compileKernels(
      {source("wide", "func.func @wide_0" + arguments + R"(
         %x = llvm.load %operands : !llvm.ptr -> f64
         %y = math.exp %x : f64
         llvm.store %y, %operands : f64, !llvm.ptr
         return
       })"),
       source("fine", scaleKernel("fine", "1.0")),
       source("copy", "func.func @copy_0" + arguments + R"(
         %from = llvm.load %operands : !llvm.ptr -> !llvm.ptr
         "llvm.intr.memcpy"(%operands, %from, %end) <{isVolatile = false}> : (!llvm.ptr, !llvm.ptr, i64) -> ()
         return
       })"),
       source("other", "func.func private @elsewhere(i64)\nfunc.func @other_0" + arguments + R"(
         func.call @elsewhere(%end) : (i64) -> ()
         return
       })")},
      options)));
  EXPECT_THAT(messages,
              AllOf(HasSubstr("kernel wide cannot be compiled: its code calls exp, "),
                    HasSubstr("kernel copy cannot be compiled: its code calls memcpy, "),
                    HasSubstr("kernel other cannot be compiled: its code calls elsewhere, "),
                    testing::Not(HasSubstr("fine"))));
}

TEST_F(CompileTest, WhatDoesNotLowerIsSaid) {
  options.cpuLevel = "x86-64-v3";
  EXPECT_TRUE(failed(compileKernels({source("odd", R"(
      func.func @odd_0(%operands: !llvm.ptr, %begin: i64, %end: i64, %slot: i64) {
        %x = builtin.unrealized_conversion_cast %begin : i64 to tensor<2xf32>
        %w = arith.addf %x, %x : tensor<2xf32>
        %y = builtin.unrealized_conversion_cast %w : tensor<2xf32> to i64
        %z = arith.addi %y, %end : i64
        llvm.store %z, %operands : i64, !llvm.ptr
        return
      })")},
                                    options)));
  EXPECT_THAT(messages, HasSubstr("kernel odd cannot be compiled: "));
}

TEST_F(CompileTest, UnknownLevelsAreRefused) {
  options.cpuLevel = "pentium";
  EXPECT_TRUE(failed(compileKernels({source("one", scaleKernel("one", "1.0"))}, options)));
  EXPECT_THAT(messages, HasSubstr("no code generation for the CPU level \"pentium\"; there is for "
                                  "x86-64-v3, x86-64-v4, x86-64-v4-bf16"));
}

TEST_F(CompileTest, SymbolsOfTwoKernelsMustDiffer) {
  options.cpuLevel = "x86-64-v3";
  EXPECT_TRUE(failed(compileKernels(
      {source("one", scaleKernel("same", "1.0")), source("two", scaleKernel("same", "2.0"))},
      options)));
  EXPECT_THAT(messages, HasSubstr("duplicate symbol: same_0"));
}

/// Objects that are open at once, and one after another, are not taken for each other.
TEST_F(CompileTest, CodeIsTakenForNoOther) {
  options.cpuLevel = "x86-64-v3";
  std::string one = compile({source("one", scaleKernel("one", "1.0"))});
  std::string two = compile({source("two", scaleKernel("two", "2.0"))});
  for (int i = 0; i < 10; ++i) {
    Code first(one), second(two);
    EXPECT_TRUE(first.find("one_0") && second.find("two_0"));
    EXPECT_FALSE(first.find("two_0") || second.find("one_0"));
  }
  for (int i = 0; i < 10; ++i) {
    Code code(i % 2 ? one : two);
    EXPECT_EQ(code.find("one_0") != nullptr, i % 2 == 1);
  }
}

TEST_F(CompileTest, WhatIsNoCodeIsNotLoaded) {
  options.cpuLevel = "x86-64-v3";
  std::string object = compile({source("one", scaleKernel("one", "1.0"))});
  for (std::string bytes : {std::string(), std::string("no code"), object.substr(0, 100)})
    try {
      Code code(bytes);
      ADD_FAILURE() << "loaded " << bytes.size() << " bytes";
    } catch (const std::runtime_error &error) {
      EXPECT_THAT(error.what(), HasSubstr("the generated code cannot be loaded: "));
    }
}

} // namespace
