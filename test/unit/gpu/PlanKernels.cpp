//===- PlanKernels.cpp - all kernels that a plan for GPUs has generated -----------------------===//
//
// `gpu-plan-kernels STEP.mlir [USED]`, a step as `ds-opt --emit partitioned` prints it, goes
// through the pipeline of plans. Every generated kernel that the program launches is run both ways,
// with the strides, alignments and operands in place that it has there, and compared with the
// reference in f64 where the kernel computes in f32. Together they use at least USED (95) % of the
// sectors of memory that they touch. test/parity/test_gpu_kernels.py makes the steps.
//
//===------------------------------------------------------------------------------------------===//

#include "GpuKernelTesting.h"

#include "dialects/graph/KernelAttrs.h"
#include "dialects/sharding/Sharding.h"
#include "passes/kernels/KernelSpecs.h"
#include "passes/kernels/Passes.h"
#include "passes/kernels/codegen/CompileGpu.h"
#include "passes/kernels/rowloops/EmitElement.h"
#include "passes/plan/Pipeline.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/MemoryBuffer.h"

#include <iostream>
#include <set>

using namespace mlir;

namespace deepshard {
namespace {

using graph::HostTensor;
using Pairs = SmallVector<std::pair<unsigned, unsigned>>;

/// Of the command line.
std::string stepPath;
double leastUsed = 95; // %

class PlanKernelsTest : public GpuKernelTest {
protected:
  /// The program of a rank, before kernels are emitted.
  OwningOpRef<ModuleOp> program() {
    context.loadDialect<sharding::ShardingDialect, plan::PlanDialect>();
    OwningOpRef<ModuleOp> step = parseSourceFile<ModuleOp>(stepPath, &context);
    PassManager passes(&context);
    PlanPipelineOptions options;
    options.isGpu = true;
    options.cpuLevel = "x86-64-v3";
    buildLaunchPipeline(passes, options);
    EXPECT_TRUE(step && succeeded(passes.run(*step))) << stepPath;
    return step;
  }

  static SmallVector<plan::LaunchOp> generatedLaunches(ModuleOp program) {
    SmallVector<plan::LaunchOp> launches;
    program.walk([&](plan::LaunchOp launch) {
      if (launch.getProvider() == kGeneratedProvider)
        launches.push_back(launch);
    });
    return launches;
  }

  /// Positive floats: none of the sums and roots of a step is near 0.
  std::vector<HostTensor> argumentsOf(func::FuncOp function) {
    std::vector<HostTensor> arguments = randomArguments(function);
    for (HostTensor &argument : arguments) {
      Type element = argument.getType().getElementType();
      int64_t count = argument.getType().getNumElements();
      for (int64_t i = 0; element.isF32() && i < count; ++i)
        argument.as<float>()[i] = std::abs(argument.as<float>()[i]) + 0.01f;
      for (int64_t i = 0; element.isF64() && i < count; ++i)
        argument.as<double>()[i] = std::abs(argument.as<double>()[i]) + 0.01;
    }
    // The reference knows no ids that are arguments.
    function.walk([&](graph::DropoutOp dropout) {
      if (auto index = dropout->getAttrOfType<IntegerAttr>(graph::kIdArgumentAttr))
        dropout.setId(static_cast<uint64_t>(*arguments[index.getInt()].as<int64_t>()));
    });
    return arguments;
  }

  /// Outputs that are the very views of inputs.
  static Pairs inPlaceOf(plan::LaunchOp launch) {
    auto view = [](Value operand) { return operand.getDefiningOp<plan::ViewOp>(); };
    Pairs pairs;
    for (auto [o, output] : llvm::enumerate(launch.getOutputs()))
      for (auto [i, input] : llvm::enumerate(launch.getInputs()))
        if (view(input).getBuffer() == view(output).getBuffer() &&
            view(input).getOffset() == view(output).getOffset() &&
            input.getType() == output.getType()) {
          pairs.push_back({static_cast<unsigned>(i), static_cast<unsigned>(o)});
          break;
        }
    return pairs;
  }

  /// Whether the kernel computes with a value that it has rounded to a narrow float. The reference
  /// computes in f32 then, so that it mostly rounds the same value.
  static bool roundsWithin(func::FuncOp function) {
    return function
        .walk([&](graph::ConvertOp convert) {
          const bool isNarrow =
              isNarrowFloat(cast<RankedTensorType>(convert.getType()).getElementType());
          return isNarrow && !llvm::all_of(convert->getUsers(), llvm::IsaPred<func::ReturnOp>)
                     ? WalkResult::interrupt()
                     : WalkResult::advance();
        })
        .wasInterrupted();
  }

  /// What results may differ by. A value that is rounded to a narrow float may be rounded another
  /// way than the reference's, also where the result is f32 again: a unit in the last place of a
  /// result, or of any value in between (none reaches 8).
  static double toleranceOf(func::FuncOp function) {
    double tolerance = 3e-5;
    const double largest = roundsWithin(function) ? 8 : 1;
    function.walk([&](graph::ConvertOp convert) {
      Type element = cast<RankedTensorType>(convert.getType()).getElementType();
      const double unit = element.isBF16() ? 8e-3 : element.isF16() ? 1e-3 : 0;
      tolerance = std::max(tolerance, largest * unit);
    });
    return tolerance;
  }

  GpuCase *addLaunch(ModuleOp program, plan::LaunchOp launch) {
    auto function = program.lookupSymbol<func::FuncOp>(launch.getKernel());
    if (!function)
      return nullptr;
    SmallVector<Strides> strides;
    for (ValueRange views : {ValueRange(launch.getInputs()), ValueRange(launch.getOutputs())})
      for (Value view : views)
        strides.emplace_back(cast<plan::ViewType>(view.getType()).getStrides());
    return addGpu(function, argumentsOf(function), strides, alignmentsOf(launch));
  }

  static bool hasOddRows(Type type) {
    auto view = cast<plan::ViewType>(type);
    return !view.getShape().empty() &&
           view.getShape().back() * plan::elementBytes(view.getElementType()) % 32 != 0 &&
           view.getNumElements() > view.getShape().back();
  }

  static double used(const ptx::Traffic &traffic) {
    return static_cast<double>(traffic.used) / static_cast<double>(traffic.touched);
  }

  /// What is emitted, under a name that is the same for all kernels.
  static std::string textOf(GpuCase &test) {
    OwningOpRef<ModuleOp> source = ModuleOp::create(test.source->getLoc());
    emitGpuKernel(*test.kernel, "kernel", *source);
    std::string text;
    llvm::raw_string_ostream(text) << *source;
    return text;
  }
};

TEST_F(PlanKernelsTest, ComputeWhatTheReferenceDoes) {
  OwningOpRef<ModuleOp> step = program();
  ASSERT_TRUE(step);
  ptx::Traffic all;
  std::set<std::string> kernels;
  std::set<std::pair<std::string, Pairs>> done;
  int strided = 0, inPlace = 0;
  SmallVector<plan::LaunchOp> launches = generatedLaunches(*step);
  for (plan::LaunchOp launch : launches) {
    GpuCase *test = addLaunch(*step, launch);
    ASSERT_TRUE(test) << launch.getKernel().str();
    std::string text = textOf(*test);
    Pairs pairs = inPlaceOf(launch);
    kernels.insert(text);
    if (!done.insert({text, pairs}).second) {
      gpuCases.pop_back();
      continue;
    }
    inPlace += !pairs.empty();
    strided += llvm::any_of(launch->getOperandTypes(),
                            [](Type type) { return !cast<plan::ViewType>(type).isContiguous(); });
    compile(*test);
    runAndCheck(*test, toleranceOf(test->function), /*inF64=*/!roundsWithin(test->function), pairs);
    if (HasFatalFailure())
      return;
    all += traffic;
    for (std::vector<Placed> *operands : {&test->inputs, &test->outputs})
      for (Placed &operand : *operands)
        operand.bytes = {};
    test->arguments.clear();
    // Rows that are no multiple of a sector begin in the midst of one; what else operands have are
    // two ends.
    std::string printed;
    llvm::raw_string_ostream(printed) << test->function;
    auto held = test->function->getAttrOfType<StringAttr>(graph::kHoldsAttr);
    std::cout << "  " << (held ? held.getValue().str() : "kernel") << ": " << 100 * used(traffic)
              << " % of " << traffic.touched << " bytes\n";
    if (llvm::none_of(launch->getOperandTypes(), hasOddRows)) {
      const uint64_t ends = 64 * launch->getNumOperands();
      EXPECT_GE(static_cast<double>(traffic.used + ends),
                0.95 * static_cast<double>(traffic.touched))
          << printed;
    }
  }
  std::cout << kernels.size() << " kernels of " << launches.size() << " launches, " << strided
            << " with strides, " << inPlace << " in place, use " << 100 * used(all)
            << " % of the sectors they touch\n";
  EXPECT_GE(100 * used(all), leastUsed);
  // Those are all that a plan gets.
  PassManager passes(&context);
  passes.addPass(createGenerateKernelsPass(GenerateKernelsPassOptions{.isGpu = true}));
  ASSERT_TRUE(succeeded(passes.run(*step)));
  auto emitted = step->lookupSymbol<ModuleOp>("kernels").getOps<ModuleOp>();
  EXPECT_EQ(static_cast<size_t>(std::distance(emitted.begin(), emitted.end())), kernels.size());
}

/// ptxas, where there is one, keeps everything in registers.
TEST_F(PlanKernelsTest, NothingIsSpilled) {
  std::string assembler = findGpuAssembler();
  if (assembler.empty())
    GTEST_SKIP() << "there is no ptxas on the PATH";
  OwningOpRef<ModuleOp> step = program();
  ASSERT_TRUE(step);
  std::vector<KernelSource> sources;
  std::set<std::string> known;
  for (plan::LaunchOp launch : generatedLaunches(*step)) {
    GpuCase *test = addLaunch(*step, launch);
    ASSERT_TRUE(test);
    if (known.insert(textOf(*test)).second)
      sources.push_back({test->name, *test->source});
  }
  for (std::string chip : {"sm_80", "sm_90", "sm_90a", "sm_100", "sm_100a"}) {
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

} // namespace
} // namespace deepshard

int main(int argc, char **argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc != 2 && argc != 3) {
    std::cerr << "usage: gpu-plan-kernels STEP.mlir [USED] [--gtest_...]\n";
    return 2;
  }
  deepshard::stepPath = argv[1];
  if (argc == 3)
    deepshard::leastUsed = std::stod(argv[2]);
  return RUN_ALL_TESTS();
}
