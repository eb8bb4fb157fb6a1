//===- PlanTest.cpp - plans that carry code ---------------------------------------------------===//

#include "CodegenTesting.h"

#include "runtime/executor/Executor.h"
#include "runtime/plan/Checker.h"
#include "runtime/plan/PlanFile.h"
#include "test/unit/runtime/PlanBuilder.h"

#include <random>

using namespace deepshard;
using namespace deepshard::runtime;
using namespace deepshard::runtime::test;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

/// y[i] = x[i] + `addend` in f64, loop after loop: the first from x to y, the others in y.
std::string addKernel(const std::string &name, int loops) {
  std::string text;
  for (int loop = 0; loop < loops; ++loop)
    text += "func.func @" + name + "_" + std::to_string(loop) +
            R"((%operands: !llvm.ptr, %begin: i64, %end: i64, %slot: i64) {
    %from = llvm.getelementptr %operands[)" +
            std::to_string(loop == 0 ? 0 : 1) + R"(] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
    %x = llvm.load %from : !llvm.ptr -> !llvm.ptr
    %to = llvm.getelementptr %operands[1] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
    %y = llvm.load %to : !llvm.ptr -> !llvm.ptr
    %c1 = arith.constant 1 : i64
    %one = arith.constant 1.0 : f64
    scf.for %i = %begin to %end step %c1 : i64 {
      %xi = llvm.getelementptr %x[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f64
      %yi = llvm.getelementptr %y[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f64
      %v = llvm.load %xi : !llvm.ptr -> f64
      %w = arith.addf %v, %one : f64
      llvm.store %w, %yi : f64, !llvm.ptr
    }
    return
  }
)";
  return text;
}

void setIntegers(planpb::Launch &launch, const std::string &name, std::vector<int64_t> values) {
  (*launch.mutable_attributes())[name].mutable_integers()->mutable_values()->Add(values.begin(),
                                                                                 values.end());
}

/// A program that gives x + 1 + 1 + 1 as its loss, by a generated kernel of two loops, then one of
/// one.
class PlanTest : public CodegenTest {
protected:
  PlanTest() {
    options.cpuLevel = "x86-64-v3";
    llvm::FailureOr<std::string> code = compileKernels(
        {source("twice", addKernel("twice", 2)), source("once", addKernel("once", 1))}, options);
    EXPECT_TRUE(succeeded(code)) << messages;
    builder.plan.set_code(*code);
    builder.plan.set_cpu_level("x86-64-v3");
    planpb::View x = builder.constant("x", 40);
    planpb::View y = builder.buffer("y", planpb::STEP, planpb::F64, {});
    planpb::View z = builder.buffer("z", planpb::STEP, planpb::F64, {});
    uint32_t segment = builder.segment("only");
    launch("twice", x, y, 2);
    launch("once", y, z, 1);
    builder.call(segment);
    addMetric(builder, "loss", z);
  }

  void launch(const std::string &name, const planpb::View &from, const planpb::View &to,
              size_t loops) {
    planpb::Launch &launch = *builder.launch(name, {from}, {to}).mutable_launch();
    launch.set_provider("generated");
    setIntegers(launch, "extents", std::vector<int64_t>(loops, 1));
    setIntegers(launch, "chunks", std::vector<int64_t>(loops, 1));
    (*launch.mutable_attributes())["workspace_bytes"].set_integer(0);
  }

  planpb::Launch &second() {
    return *builder.program().mutable_segments(0)->mutable_tasks(1)->mutable_launch();
  }
  std::vector<std::string> faults() { return checkPlan(builder.plan); }

  PlanBuilder builder;
  TemporaryDirectory directory;
};

TEST_F(PlanTest, RunsFromItsFile) {
  EXPECT_THAT(faults(), IsEmpty());
  writePlan(builder.plan, directory.path("plan"));
  planpb::Plan plan = readPlan(directory.path("plan"));
  EXPECT_EQ(plan.code(), builder.plan.code());
  // Two at once, as ranks that are threads have them.
  Executor first(plan, {}), second(plan, {});
  for (int step = 0; step < 3; ++step) {
    EXPECT_EQ(*first.step().find("loss"), 43);
    EXPECT_EQ(*second.step().find("loss"), 43);
  }
}

TEST_F(PlanTest, MissingFunctionsAreFaults) {
  second().set_kernel("thrice");
  EXPECT_THAT(faults(), Contains(HasSubstr("task 1 of segment only: thrice (test): the plan's code "
                                           "has no function thrice_0")));
  EXPECT_THAT(messageOf([&] { Executor(builder.plan, {}); }), HasSubstr("no function thrice_0"));
  second().set_kernel("once");
  EXPECT_THAT(faults(), IsEmpty());
  second().mutable_attributes()->at("extents").mutable_integers()->add_values(1);
  EXPECT_THAT(faults(), Contains(HasSubstr("has no function once_1")));
  second().mutable_attributes()->erase("extents");
  EXPECT_THAT(faults(), Contains(HasSubstr("needs the extents of its loops")));
}

TEST_F(PlanTest, MissingAndForeignCodeAreFaults) {
  std::string code = builder.plan.code();
  builder.plan.clear_code();
  EXPECT_THAT(faults(), Contains(HasSubstr("has no function twice_1")));
  builder.plan.set_code("#!/bin/sh");
  EXPECT_THAT(faults(),
              Contains(HasSubstr("is not a shared object for x86-64: it does not start")));
  code[18] = 40; // e_machine: ARM
  builder.plan.set_code(code);
  EXPECT_THAT(faults(), Contains(HasSubstr("it is not for x86-64")));
  // This test itself needs libraries.
  builder.plan.set_code(readFile("/proc/self/exe"));
  EXPECT_THAT(faults(), Contains(HasSubstr("asks for other libraries")));
}

/// Attributes that the provider refuses are found at load, all of them.
TEST_F(PlanTest, UnsoundAttributesAreFoundAtLoad) {
  second().mutable_attributes()->at("chunks").mutable_integers()->set_values(0, -1);
  (*builder.program()
        .mutable_segments(0)
        ->mutable_tasks(0)
        ->mutable_launch()
        ->mutable_attributes())["workspace_bytes"]
      .set_integer(8);
  EXPECT_THAT(messageOf([&] { Executor(builder.plan, {}); }),
              testing::AllOf(HasSubstr("-1 of loop 0 is not between 1 and"),
                             HasSubstr("its workspace has 0 bytes, 8 are needed")));
}

/// The checker looks at any bytes without harm.
TEST_F(PlanTest, DamagedCodeIsReadWithoutHarm) {
  std::mt19937 generator(5);
  const std::string code = builder.plan.code();
  for (size_t size = 0; size < code.size(); size += 13) {
    builder.plan.set_code(code.substr(0, size));
    faults();
  }
  for (int i = 0; i < 3000; ++i) {
    std::string bad = code;
    // Half of the changes in the header and the table of sections, which lies at the end.
    for (int j = 0; j < 4; ++j) {
      size_t at = generator() % bad.size();
      if (generator() % 2)
        at = generator() % 2 ? generator() % 64 : bad.size() - 1 - generator() % 640;
      bad[at] = static_cast<char>(generator() % 2 ? 0xff : generator());
    }
    builder.plan.set_code(bad);
    faults();
  }
}

TEST_F(PlanTest, CodeThatCannotBeLoadedIsSaid) {
  // The table of program headers, which the loader reads and the checker does not.
  std::string code = builder.plan.code();
  code[54] = 1; // e_phentsize
  builder.plan.set_code(code);
  EXPECT_THAT(faults(), IsEmpty());
  EXPECT_THAT(messageOf([&] { Executor(builder.plan, {}); }),
              HasSubstr("the generated code cannot be loaded: "));
}

} // namespace
