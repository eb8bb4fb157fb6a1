//===- StagesTest.cpp - training at each stage of ZeRO, on GPUs that are not there ------------===//
//
// A small Llama goes the whole way behind the import: gradients, two ranks, buckets cut as the
// stage says, kernels for a GPU: in bf16 and fp16, attention is cuDNN's. Ranks that share a GPU,
// and ranks that meet by NCCL, train it on the fake runtime, which interprets the plan's PTX.
//
//===------------------------------------------------------------------------------------------===//

#include "test/unit/cuda/CudaTesting.h"
#include "test/unit/executor/RankTraining.h"
#include "test/unit/planner/Models.h"
#include "test/unit/planner/RandomArguments.h"
#include "test/unit/sharding/PartitionedPlan.h"
#include "test/unit/sharding/Testing.h"

#include "dialects/plan/Plan.h"
#include "passes/sharding/Passes.h"
#include "passes/training/Passes.h"
#include "runtime/checkpoint/SafeTensors.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include <map>

using namespace mlir;

namespace deepshard {
namespace {

using graph::HostTensor;
using runtime::test::fakeCuda;
using runtime::test::Outcome;

constexpr int kSteps = 3;
constexpr uint32_t kRanks = 2, kMicroBatch = 2, kAccumulation = 2, kSamples = 11; // wraps round
constexpr double kLearningRate = 1e-2;

std::string modelFor(uint32_t batch) {
  return llama({1, 32, 4, 2, 24, 32, batch, 8}, ModelPrecision::F32);
}

struct Precision {
  const char *name;
  double bound; // of the distance between a GPU's losses and a CPU's
  const char *settings = "";
};

constexpr Precision kPrecisions[] = {
    {"f32", 1e-5},
    {"bf16", 1e-2,
     ", graph.mixed_precision = #graph.mixed_precision<compute = bf16, parameters = bf16>"},
    // The first scale is too large: a step updates nothing.
    {"fp16", 1e-2,
     ", graph.mixed_precision = #graph.mixed_precision<compute = f16, parameters = f16>, "
     "graph.loss_scale = #graph.loss_scale<initial = 1048576.0 : f64, window = 1000, hysteresis = "
     "1, consecutive_hysteresis = false, minimum = 1.0 : f64>"}};

class StagesTest : public sharding::ShardingTest,
                   public testing::WithParamInterface<std::tuple<int, Precision>> {
protected:
  StagesTest() {
    context.loadDialect<plan::PlanDialect>();
    writeFiles();
  }
  ~StagesTest() override { EXPECT_EQ(fakeCuda().alive(), 0); }

  /// Weights and samples: the arguments of the model for a batch of all samples.
  void writeFiles() {
    OwningOpRef<ModuleOp> model = parseSourceString<ModuleOp>(modelFor(kSamples), &context);
    auto forward = model->lookupSymbol<func::FuncOp>("forward");
    std::vector<HostTensor> arguments = randomArguments(forward);
    std::vector<runtime::SavedTensor> weights;
    for (auto [index, argument] : llvm::enumerate(arguments)) {
      if (auto name = forward.getArgAttrOfType<StringAttr>(index, graph::kParameterAttr)) {
        weights.push_back({name.str(), {}, argument.getDesc(), argument.data()});
        continue;
      }
      std::string name = forward.getArgAttrOfType<StringAttr>(index, graph::kInputAttr).str();
      std::string path = directory.path(name + ".bin");
      runtime::test::writeFile(path, {static_cast<const char *>(argument.data()), argument.size()});
      options.data.files.emplace_back(name, path + ":int64");
    }
    options.weights = directory.path("weights");
    runtime::saveSafeTensors(options.weights, weights);
    options.data.shuffle = false;
    options.cudaLibraries = DEEPSHARD_FAKE_LIBRARIES;
  }

  bool isNarrow() const { return std::get<Precision>(GetParam()).name != std::string("f32"); }
  bool isScaled() const { return std::get<Precision>(GetParam()).name == std::string("fp16"); }

  DictionaryAttr settings() {
    std::string text =
        "{graph.accumulation_steps = " + std::to_string(kAccumulation) +
        " : i64, graph.gradient_clipping = 1.0 : f64, graph.optimizer = "
        "#graph.adamw<learning_rate = 1.0e-02 : f64, beta1 = 0.9 : f64, beta2 = 0.99 : f64, "
        "eps = 1.0e-08 : f64, weight_decay = 0.1 : f64, bias_correction = true, adam_w_mode = "
        "true>, sharding.zero = #sharding.zero<axes = <{\"data\"}>, stage = " +
        std::to_string(std::get<int>(GetParam())) +
        ", reduction = \"micro_batch\", gather = \"regather\", kept_whole = 32>" +
        std::get<Precision>(GetParam()).settings + "}";
    return cast<DictionaryAttr>(parseAttribute(text, &context));
  }

  /// Small buckets, so that there are several; those of norms are kept whole at stage 3.
  planpb::Plan planFor(const std::string &gpu) {
    OwningOpRef<ModuleOp> module =
        parse("[\"data\" = " + std::to_string(kRanks) + "]", modelFor(kRanks * kMicroBatch));
    for (NamedAttribute setting : settings())
      (*module)->setAttr(setting.getName(), setting.getValue());
    auto forward = module->lookupSymbol<func::FuncOp>("forward");
    for (unsigned index = 0; index < forward.getNumArguments(); ++index)
      if (forward.getArgAttr(index, graph::kInputAttr))
        forward.setArgAttr(index, sharding::kLayoutAttr, layout("[{\"data\"}, {}]"));
    PassManager passes(&context);
    TrainingOptions training;
    training.bucketSize = 512;
    buildGradientPipeline(passes, training);
    passes.addPass(createPropagateLayouts());
    passes.addPass(createPartition());
    buildStepPipeline(passes, training);
    passes.addPass(createShardBuckets());
    passes.addPass(createVerifyPartitioned());
    EXPECT_TRUE(succeeded(passes.run(*module)));
    FailureOr<planpb::Plan> plan =
        sharding::planPartitioned(*module, {.gpu = gpu,
                                            .microBatch = kMicroBatch,
                                            .accumulation = kAccumulation,
                                            .globalBatch = kRanks * kMicroBatch * kAccumulation,
                                            .learningRate = kLearningRate});
    EXPECT_TRUE(succeeded(plan));
    return succeeded(plan) ? *plan : planpb::Plan();
  }

  Outcome train(const planpb::Plan &plan) {
    return runtime::test::runOnThreads(plan, options, kSteps, directory.path("out"));
  }

  runtime::test::TemporaryDirectory directory;
  runtime::ExecutorOptions options;
};

/// Losses are near those of a CPU. All stages give the same bits in both ways: the fake NCCL adds
/// up in the order of ranks that share a GPU.
TEST_P(StagesTest, RanksOnGpusTrainAsOnCpus) {
  const auto &[stage, precision] = GetParam();
  static std::map<std::string, Outcome> firstOf; // by precision
  const Outcome cpu = train(planFor(""));
  for (double skipped : cpu.skipped) {
    EXPECT_EQ(skipped > 0, isScaled());
    EXPECT_LT(skipped, kSteps);
  }
  const planpb::Plan plan = planFor("sm_90");
  for (bool isShared : {true, false}) {
    SCOPED_TRACE(isShared ? "ranks share a GPU" : "ranks meet by NCCL");
    options.ranksShareGpu = isShared;
    // Of another major version than the machine code in the plan, so that the PTX runs.
    fakeCuda().reset({.devices = isShared ? 1 : static_cast<int>(kRanks), .capability = 100});
    const Outcome gpu = train(plan);
    const auto calls = fakeCuda().callsByName();
    EXPECT_EQ(calls.contains("cudnnBackendExecute"), isNarrow());
    EXPECT_EQ(calls.contains("ncclAllReduce"), !isShared);
    for (const char *ofStages : {"ncclReduceScatter", "ncclAllGather"})
      EXPECT_EQ(calls.contains(ofStages), !isShared && stage > 0) << ofStages;
    ASSERT_EQ(gpu.losses.size(), cpu.losses.size());
    for (auto [ofGpu, ofCpu] : llvm::zip_equal(gpu.losses, cpu.losses)) {
      ASSERT_EQ(ofGpu.size(), size_t{kSteps});
      for (auto [found, expected] : llvm::zip_equal(ofGpu, ofCpu))
        EXPECT_NEAR(found, expected, precision.bound * expected);
    }
    EXPECT_EQ(gpu.skipped, cpu.skipped);
    const Outcome &first = firstOf.try_emplace(precision.name, gpu).first->second;
    EXPECT_EQ(gpu.losses, first.losses);
    EXPECT_EQ(gpu.weights, first.weights);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Zero, StagesTest, testing::Combine(testing::Values(0, 1, 2, 3), testing::ValuesIn(kPrecisions)),
    [](const auto &test) {
      return std::to_string(std::get<int>(test.param)) + std::get<Precision>(test.param).name;
    });

} // namespace
} // namespace deepshard
