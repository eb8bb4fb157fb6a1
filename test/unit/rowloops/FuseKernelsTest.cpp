//===- FuseKernelsTest.cpp - fused programs against the programs they were
//---------------------===//
//
// Random programs through choose-kernels, cse and fuse-kernels. With the bodies of the calls
// evaluated in their place a program gives the very bits it gave before: grouping, cloning and
// reordering change nothing. With the calls executed by the code generated for them it gives the
// same numbers still, because all floats are small integers, whose sums are exact in any order.
//
//===------------------------------------------------------------------------------------------===//

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

  LogicalResult fuse(ModuleOp module) {
    PassManager passes(&context);
    passes.addPass(createChooseKernelsPass());
    passes.addPass(createCSEPass());
    passes.addPass(createFuseKernelsPass());
    return passes.run(module);
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

TEST_F(FuseKernelsTest, ProgramsComputeWhatTheyDidBefore) {
  int64_t calls = 0, opsInCalls = 0, withDropout = 0, severalResults = 0, largest = 0;
  for (int seed = 0; seed < 250; ++seed) {
    random.seed(seed);
    ProgramGenerator generator(Float32Type::get(&context), random);
    OwningOpRef<ModuleOp> before = ModuleOp::create(UnknownLoc::get(&context));
    func::FuncOp function = generator.generate(OpBuilder::atBlockEnd(before->getBody()),
                                               4 + static_cast<int>(random() % 60));
    setPhases(function);
    OwningOpRef<ModuleOp> after = before->clone();
    ASSERT_TRUE(succeeded(fuse(*after))) << "seed " << seed;
    func::FuncOp fused = *after->getOps<func::FuncOp>().begin();
    for (Operation &op : fused.getBody().front())
      if (auto provider = op.getAttrOfType<StringAttr>(graph::kProviderAttr)) {
        EXPECT_EQ(provider.getValue() == kGeneratedProvider, isa<func::CallOp>(op))
            << "seed " << seed;
      }
    expectEqual(evaluate(fused, generator.arguments(), interpret),
                expected(function, generator.arguments()), *before, *after);
    if (HasFatalFailure())
      return;
    fused.walk([&](func::CallOp call) {
      func::FuncOp kernel = calleeOf(call);
      int64_t ops = std::distance(kernel.getOps().begin(), kernel.getOps().end()) - 1;
      ++calls;
      opsInCalls += ops;
      largest = std::max(largest, ops);
      severalResults += call.getNumResults() > 1;
      withDropout += !kernel.getOps<graph::DropoutOp>().empty();
    });
  }
  std::cout << calls << " calls of " << opsInCalls << " ops, the largest of " << largest << "; "
            << severalResults << " with several results, " << withDropout << " with dropout\n";
  EXPECT_GT(2 * opsInCalls, 3 * calls);
  EXPECT_GT(std::min(severalResults, withDropout), 50);
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
