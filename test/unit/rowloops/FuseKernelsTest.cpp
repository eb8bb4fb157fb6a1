//===- FuseKernelsTest.cpp - fused programs against the programs they were
//---------------------===//
//
// Random programs through choose-kernels, cse and fuse-kernels, some of their ops kept away from
// generated kernels, so that paths lead out of groups and back in. With the bodies of the calls
// evaluated in their place a program gives the very bits it gave before: grouping, cloning and
// reordering change nothing. With the calls executed by the code generated for them it gives the
// same numbers still, because all floats are small integers, whose sums are exact in any order.
//
//===------------------------------------------------------------------------------------------===//

#include "GroupGenerator.h"
#include "RowKernelTesting.h"

#include "dialects/graph/Interpreter.h"
#include "passes/kernels/Passes.h"
#include "test/unit/sharding/ProgramGenerator.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

#include <iostream>

using namespace mlir;

namespace deepshard {
namespace {

using graph::HostTensor;
using sharding::ProgramGenerator;

class FuseKernelsTest : public RowKernelTest {
protected:
  /// Gives every op a phase: most have that of the op before.
  void setPhases(func::FuncOp function) {
    constexpr const char *kPhases[] = {"forward", "backward", "update"};
    size_t phase = 0;
    for (Operation &op : function.getBody().front().without_terminator()) {
      if (random() % 12 == 0)
        phase = random() % std::size(kPhases);
      op.setAttr(graph::kPhaseAttr, StringAttr::get(&context, kPhases[phase]));
    }
  }

  /// Some of the ops for which kernels could be generated get a kernel of their own elsewhere.
  void keepAway(ModuleOp module) {
    double share = random() % 2 == 0 ? 0 : 0.2;
    module.walk([&](Operation *op) {
      auto provider = op->getAttrOfType<StringAttr>(graph::kProviderAttr);
      if (provider && provider.getValue() == kGeneratedProvider &&
          std::bernoulli_distribution(share)(random))
        op->setAttr(graph::kProviderAttr, StringAttr::get(&context, "reference"));
    });
  }

  LogicalResult fuse(ModuleOp module) {
    PassManager choose(&context), fuse(&context);
    choose.addPass(createChooseKernelsPass());
    choose.addPass(createCSEPass());
    fuse.addPass(createFuseKernelsPass());
    if (failed(choose.run(module)))
      return failure();
    keepAway(module);
    return fuse.run(module);
  }

  struct Groups {
    int64_t calls = 0, ops = 0, largest = 0, severalResults = 0, dropouts = 0;
  };

  /// Fuses a copy of the program and compares what both compute.
  void compareFused(ModuleOp before, func::FuncOp function, ArrayRef<HostTensor> arguments,
                    Groups &groups) {
    setPhases(function);
    OwningOpRef<ModuleOp> after = before.clone();
    ASSERT_TRUE(succeeded(fuse(*after)));
    func::FuncOp fused = *after->getOps<func::FuncOp>().begin();
    for (Operation &op : fused.getBody().front())
      if (auto provider = op.getAttrOfType<StringAttr>(graph::kProviderAttr)) {
        EXPECT_EQ(provider.getValue() == kGeneratedProvider, isa<func::CallOp>(op));
      }
    expectEqual(evaluate(fused, arguments, interpret), expected(function, arguments), before,
                *after);
    fused.walk([&](func::CallOp call) {
      func::FuncOp kernel = calleeOf(call);
      int64_t ops = std::distance(kernel.getOps().begin(), kernel.getOps().end()) - 1;
      ++groups.calls;
      groups.ops += ops;
      groups.largest = std::max(groups.largest, ops);
      groups.severalResults += call.getNumResults() > 1;
      groups.dropouts += !kernel.getOps<graph::DropoutOp>().empty();
    });
  }

  static void print(const Groups &groups) {
    std::cout << groups.calls << " calls of " << groups.ops << " ops, the largest of "
              << groups.largest << "; " << groups.severalResults << " with several results, "
              << groups.dropouts << " with dropout\n";
  }

  /// The results of a function of ops and calls, each call as `call` computes it.
  template <typename Call>
  std::vector<HostTensor> evaluate(func::FuncOp function, ArrayRef<HostTensor> arguments,
                                   const Call &call) {
    llvm::DenseMap<Value, HostTensor> values;
    for (auto [argument, tensor] : llvm::zip_equal(function.getArguments(), arguments))
      values[argument] = tensor;
    for (Operation &op : function.getBody().front().without_terminator()) {
      SmallVector<HostTensor> results;
      if (auto callOp = dyn_cast<func::CallOp>(op)) {
        std::vector<HostTensor> operands;
        for (Value operand : op.getOperands())
          operands.push_back(values[operand]);
        llvm::append_range(results, call(callOp, operands));
      } else {
        SmallVector<const HostTensor *> operands;
        for (Value operand : op.getOperands())
          operands.push_back(&values[operand]);
        FailureOr<SmallVector<HostTensor>> computed = graph::evaluateOp(&op, operands);
        EXPECT_TRUE(succeeded(computed));
        if (failed(computed))
          return {};
        results = *computed;
      }
      for (auto [value, tensor] : llvm::zip_equal(op.getResults(), results))
        values[value] = tensor;
    }
    std::vector<HostTensor> results;
    for (Value value : function.getBody().front().getTerminator()->getOperands())
      results.push_back(values[value]);
    return results;
  }

  static func::FuncOp calleeOf(func::CallOp call) {
    return call->getParentOfType<ModuleOp>().lookupSymbol<func::FuncOp>(call.getCallee());
  }

  /// The body with the ids of dropouts that are arguments of the call put in.
  static std::vector<HostTensor> interpret(func::CallOp call, ArrayRef<HostTensor> operands) {
    func::FuncOp body = calleeOf(call).clone();
    body.walk([&](graph::DropoutOp dropout) {
      if (auto index = dropout->getAttrOfType<IntegerAttr>(graph::kIdArgumentAttr))
        dropout.setId(static_cast<uint64_t>(*operands[index.getInt()].as<int64_t>()));
    });
    std::vector<HostTensor> results = expected(body, operands);
    body->erase();
    return results;
  }

  void expectEqual(ArrayRef<HostTensor> got, ArrayRef<HostTensor> want, ModuleOp before,
                   ModuleOp after) {
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i)
      if (std::string text = difference(got[i], want[i], 0); !text.empty()) {
        llvm::raw_string_ostream(text) << "\n" << before << "\n" << after;
        FAIL() << "result " << i << ": " << text;
      }
  }
};

/// Programs of all kinds of ops.
TEST_F(FuseKernelsTest, ProgramsComputeWhatTheyDidBefore) {
  Groups groups;
  for (int seed = 0; seed < 250; ++seed) {
    SCOPED_TRACE(seed);
    random.seed(seed);
    ProgramGenerator generator(Float32Type::get(&context), random);
    OwningOpRef<ModuleOp> before = ModuleOp::create(UnknownLoc::get(&context));
    func::FuncOp function = generator.generate(OpBuilder::atBlockEnd(before->getBody()),
                                               4 + static_cast<int>(random() % 60));
    compareFused(*before, function, generator.arguments(), groups);
    if (HasFailure())
      return;
  }
  print(groups);
  EXPECT_GT(2 * groups.ops, 3 * groups.calls);
  EXPECT_GT(std::min(groups.severalResults, groups.dropouts), 30);
}

/// Programs whose ops would all fit one kernel, were it not for their phases and those kept away.
TEST_F(FuseKernelsTest, LargeGroupsComputeWhatTheyDidBefore) {
  Groups groups;
  for (int seed = 0; seed < 250; ++seed) {
    SCOPED_TRACE(seed);
    random.seed(seed);
    OwningOpRef<ModuleOp> before = ModuleOp::create(UnknownLoc::get(&context));
    GroupGenerator generator(*before, random);
    func::FuncOp function = generator.generate("program", 4 + static_cast<int>(random() % 60));
    compareFused(*before, function, randomArguments(function), groups);
    if (HasFailure())
      return;
  }
  print(groups);
  EXPECT_GT(groups.ops, 4 * groups.calls);
  EXPECT_GT(groups.largest, 60);
  EXPECT_GT(std::min(groups.severalResults, groups.dropouts), 100);
}

TEST_F(FuseKernelsTest, GeneratedCodeComputesTheSame) {
  struct Program {
    OwningOpRef<ModuleOp> before, after;
    func::FuncOp function, fused;
    std::vector<HostTensor> arguments;
  };
  std::vector<Program> programs;
  llvm::DenseMap<Operation *, Case *> kernels;
  for (int seed = 1000; seed < 1040; ++seed) {
    random.seed(seed);
    Program &program = programs.emplace_back();
    ProgramGenerator generator(Float32Type::get(&context), random);
    program.before = ModuleOp::create(UnknownLoc::get(&context));
    program.function = generator.generate(OpBuilder::atBlockEnd(program.before->getBody()),
                                          4 + static_cast<int>(random() % 60));
    program.arguments = generator.arguments();
    setPhases(program.function);
    program.after = program.before->clone();
    ASSERT_TRUE(succeeded(fuse(*program.after))) << "seed " << seed;
    program.fused = *program.after->getOps<func::FuncOp>().begin();
    program.fused.walk([&](func::CallOp call) {
      func::FuncOp kernel = calleeOf(call);
      Case *&test = kernels[kernel];
      if (!test)
        test = add(kernel, {}, Options{});
      EXPECT_TRUE(test);
    });
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
  }
  compile();
  for (Program &program : programs) {
    auto execute = [&](func::CallOp call, std::vector<HostTensor> operands) {
      Case *test = kernels.lookup(calleeOf(call));
      test->arguments = std::move(operands);
      run(*test);
      return test->results();
    };
    expectEqual(evaluate(program.fused, program.arguments, execute),
                expected(program.function, program.arguments), *program.before, *program.after);
    if (HasFatalFailure())
      return;
  }
}

} // namespace
} // namespace deepshard
