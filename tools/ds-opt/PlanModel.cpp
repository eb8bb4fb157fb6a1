//===- PlanModel.cpp - from a model to a plan -------------------------------------------------===//

#include "tools/ds-opt/Tool.h"

#include "dialects/graph/Graph.h"
#include "dialects/plan/Plan.h"
#include "frontends/config/Cluster.h"
#include "frontends/config/Config.h"
#include "frontends/torchscript/Import.h"
#include "passes/kernels/codegen/KernelCache.h"
#include "passes/memory/Passes.h"
#include "passes/plan/LibraryGraphs.h"
#include "passes/plan/Pipeline.h"
#include "passes/plan/Serialize.h"
#include "passes/planner/Passes.h"
#include "passes/sharding/Passes.h"
#include "passes/simplify/Passes.h"
#include "passes/training/Passes.h"
#include "runtime/kernels/CpuLevel.h"
#include "runtime/kernels/Providers.h"
#include "runtime/plan/Checker.h"
#include "runtime/plan/Error.h"
#include "runtime/plan/PlanFile.h"
#include "runtime/plan/Summary.h"
#include "tools/ds-opt/Diagnostics.h"
#include "tools/ds-opt/Layouts.h"
#include "tools/ds-opt/Options.h"
#include "tools/ds-opt/Report.h"
#include "tools/ds-opt/TrainingOptions.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/ToolOutputFile.h"
#include "llvm/Support/raw_ostream.h"

#include <thread>

#define XXH_INLINE_ALL
#include <xxhash.h>

using namespace mlir;

namespace deepshard {

static LogicalResult fail(const llvm::Twine &message) {
  llvm::errs() << "ds-opt: error: " << message << "\n";
  return failure();
}

/// `--ranks` says again what the mesh says, so that a job script and a configuration that have
/// drifted apart are noticed.
static LogicalResult checkRanks(const Options &options, const Mesh &mesh) {
  if (options.ranks == 0 || options.ranks == mesh.ranks())
    return success();
  std::string axes;
  for (const auto &[axis, size] : mesh.axes())
    axes += (axes.empty() ? "" : ", ") + std::string(axis) + "=" + std::to_string(size);
  return fail(llvm::Twine("--ranks ") + llvm::Twine(options.ranks) + " is not the " +
              llvm::Twine(mesh.ranks()) + " of the mesh (" + axes +
              "); change one of them, for example with --set mesh.data=N");
}

static double gibibytes(int64_t bytes) { return static_cast<double>(bytes) / (int64_t(1) << 30); }

/// What the user asks for.
struct Settings {
  TrainingConfig config;
  std::optional<Cluster> cluster;
  std::vector<InputSpec> inputs;
};

/// The name of the element type in which a model computes, as in the cluster file.
static StringRef precisionName(const Options &options, const TrainingConfig &config) {
  if (options.f64)
    return "f64";
  return config.precision == Precision::F32    ? "f32"
         : config.precision == Precision::BF16 ? "bf16"
                                               : "f16";
}

/// The plan has to fit into the cluster, and the cluster to know its arithmetic.
static LogicalResult checkCluster(const Options &options, const Settings &settings) {
  if (!settings.cluster)
    return success();
  bool good = true;
  StringRef precision = precisionName(options, settings.config);
  if (!settings.cluster->device.matmul.contains(std::string_view(precision)))
    good &= succeeded(fail(options.cluster + ": device.matmul: has no \"" + precision +
                           "\", in which the model computes; add its peak_tflops"));
  if (settings.config.mesh.ranks() > settings.cluster->ranks())
    good &= succeeded(fail(options.cluster + ": tiers: the outermost is shared by " +
                           llvm::Twine(settings.cluster->ranks()) + " ranks, but the mesh has " +
                           llvm::Twine(settings.config.mesh.ranks())));
  return success(good);
}

/// Reads configuration, cluster and inputs, printing all faults of all of them.
static LogicalResult readSettings(const Options &options, Settings &settings) {
  bool good = true;
  TrainingConfig &config = settings.config;
  if (!options.config.empty()) {
    ConfigOptions configOptions;
    configOptions.overrides = options.overrides;
    ConfigResult result = parseConfigFile(options.config, configOptions);
    for (const auto &note : result.notes)
      llvm::errs() << "ds-opt: note: " << note.str() << "\n";
    for (const auto &error : result.errors)
      good &= succeeded(fail(error.str()));
    if (result.config)
      config = *result.config;
  } else {
    config.microBatch = config.trainBatch = 1;
  }
  if (!options.cluster.empty()) {
    ClusterResult result = parseClusterFile(options.cluster);
    for (const auto &error : result.errors)
      good &= succeeded(fail(error.str()));
    settings.cluster = std::move(result.cluster);
  }
  if (!options.whyNot.empty() && !config.searchLayouts)
    good &=
        succeeded(fail("--why-not asks the search, which deepshard.layouts \"pinned\" turns off"));
  if (good) {
    good &= succeeded(checkRanks(options, config.mesh));
    good &= succeeded(checkCluster(options, settings));
  }
  for (const std::string &text : options.inputs) {
    std::string error;
    if (std::optional<InputSpec> input = parseInputSpec(text, error))
      settings.inputs.push_back(*input);
    else
      good &= succeeded(fail(error));
  }
  return success(good);
}

static FailureOr<OwningOpRef<ModuleOp>> importModel(MLIRContext &context, const Options &options,
                                                    const TrainingConfig &config,
                                                    std::vector<InputSpec> inputs) {
  TorchScriptImportOptions import;
  import.path = options.model;
  import.inputs = std::move(inputs);
  import.batch = config.microBatch * config.mesh.data;
  import.foldCap = options.foldMib << 20;
  import.f64 = options.f64;
  return importTorchScript(context, import);
}

static LogicalResult emitIr(ModuleOp module, const Options &options) {
  std::string error;
  auto file = openOutputFile(options.output.empty() ? "-" : options.output, &error);
  if (!file)
    return fail(error);
  OpPrintingFlags flags;
  flags.printNameLocAsPrefix();
  if (options.elide)
    flags.elideLargeElementsAttrs(16).elideLargeResourceString(16);
  module.print(file->os(), flags);
  file->keep();
  return success();
}

/// What is to be least, and what a step takes on the cluster; without one, on the cores of a host.
static ChooseLayoutsOptions searchOf(const Options &options, const Settings &settings) {
  const std::optional<Cluster> &cluster = settings.cluster;
  ChooseLayoutsOptions machine;
  machine.objective = settings.config.objective;
  machine.whyNot.assign(options.whyNot.begin(), options.whyNot.end());
  if (!cluster)
    return machine;
  const Matmul &matmul =
      cluster->device.matmul.find(std::string_view(precisionName(options, settings.config)))
          ->second;
  machine.tflops = matmul.flopsPerSecond() * 1e-12;
  machine.memoryGbPerS = cluster->device.memoryBytesPerSecond * 1e-9;
  for (const Tier &tier : cluster->tiers) {
    machine.tierSizes.push_back(tier.size);
    machine.tierLatencies.push_back(tier.latencySeconds * 1e6);
    machine.tierBandwidths.push_back(tier.bytesPerSecond * 1e-9);
  }
  return machine;
}

static void setTraining(TrainingOptions &training, const Options &options,
                        const TrainingConfig &config) {
  training.loss = options.loss;
  training.bucketSize = config.bucketSize;
  if (options.f64)
    training.precision = "f64";
}

/// Runs the passes up to layouts, if they are asked for: what is decided.
static LogicalResult decide(ModuleOp module, const Options &options, const Settings &settings) {
  const TrainingConfig &config = settings.config;
  PassManager passes(module.getContext());
  // Importers leave what models write out by hand; after this it is one op per thing a library
  // computes.
  SimplifyPipelineOptions simplify;
  simplify.maxBytes = options.foldMib << 20;
  buildSimplifyPipeline(passes, simplify);
  TrainingOptions training;
  setTraining(training, options, config);
  if (options.emit == Emit::Step)
    buildTrainingPipeline(passes, training);
  if (options.emit >= Emit::Annotated) {
    // Layouts of parameters that need another shape change the forward, before it has gradients.
    passes.addNestedPass<func::FuncOp>(createVerifyHeads());
    passes.addNestedPass<func::FuncOp>(createSplitFusedProjections({config.searchLayouts}));
    // On GPUs rows of logits should begin where the widest accesses may.
    constexpr int64_t kGpuMultiple = 64;
    passes.addNestedPass<func::FuncOp>(
        createPadParameters({config.searchLayouts, options.targetGpu.empty() ? 1 : kGpuMultiple}));
    buildGradientPipeline(passes, training);
    if (config.searchLayouts)
      passes.addPass(createChooseLayouts(searchOf(options, settings)));
    passes.addPass(createPropagateLayouts());
    passes.addPass(createVerifyAnnotated());
    if (config.recompute.mode != "none")
      passes.addNestedPass<func::FuncOp>(
          createChooseRecompute({config.recompute.mode, config.recompute.keptInputs}));
  }
  return passes.run(module);
}

/// Runs the passes behind that up to the phase that is asked for.
static LogicalResult lower(ModuleOp module, const Options &options, const TrainingConfig &config) {
  PassManager passes(module.getContext());
  // To verify the whole program behind every pass takes longer than the passes; it is verified at
  // the end, and what is planned is checked.
  passes.enableVerifier(false);
  TrainingOptions training;
  setTraining(training, options, config);
  if (options.emit >= Emit::Partitioned) {
    passes.addPass(createPartition());
    // Of the sizes that a rank has, and before anything asks what is of which phase.
    if (config.logitChunks != 1)
      passes.addNestedPass<func::FuncOp>(createChunkRows({config.logitChunks}));
    // Before ZeRO, so that what is computed again reads the parameters gathered for the backward.
    passes.addNestedPass<func::FuncOp>(createRecompute());
    // Buckets hold what a rank has of its parameters; ZeRO cuts them once more.
    buildStepPipeline(passes, training);
    passes.addPass(createShardBuckets());
    passes.addPass(createVerifyPartitioned());
  }
  if (options.emit >= Emit::PlanIr) {
    PlanPipelineOptions pipeline;
    pipeline.threads = options.threads;
    pipeline.isGpu = !options.targetGpu.empty();
    if (pipeline.isGpu && options.withoutCudnn)
      pipeline.providers = {"cublaslt", "generated", "cuda"};
    pipeline.useAtomics = config.embeddingGradient == "atomics";
    pipeline.cpuLevel = options.targetCpu;
    pipeline.overlap = config.zero.overlap;
    buildPlanPipeline(passes, pipeline);
  }
  return success(succeeded(passes.run(module)) && succeeded(verify(module)));
}

static uint64_t hashOf(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream, OpPrintingFlags().elideLargeElementsAttrs(4096));
  return XXH3_64bits(text.data(), text.size());
}

/// A plan without is as good, but ranks build at load what they could read.
static void addGraphs(const Options &options, planpb::Plan &plan) {
  if (options.targetGpu.empty())
    return;
  const std::string reason = addLibraryGraphs(options.targetGpu, options.cudaLibraries, plan);
  if (!reason.empty() && (options.explain || !options.cudaLibraries.empty()))
    llvm::errs() << "ds-opt: note: kernels of cuDNN are built when the plan is loaded: " << reason
                 << "\n";
}

static LogicalResult emitPlan(ModuleOp module, const Options &options, const Settings &settings,
                              uint64_t modelHash, const std::string &blocks) {
  const TrainingConfig &config = settings.config;
  planpb::Plan plan;
  plan.set_format_version(runtime::kPlanFormatVersion);
  plan.set_producer("ds-opt " DEEPSHARD_VERSION);
  plan.set_cpu_level(options.targetCpu);
  plan.set_threads(options.threads);
  plan.set_model(options.model);
  plan.set_model_hash(modelHash);
  plan.set_precision(precisionName(options, config).str());
  plan.set_memory_budget(static_cast<uint64_t>(options.memoryGib * (int64_t(1) << 30)));
  if (settings.cluster && options.memoryGib == gibibytes(settings.cluster->device.usableBytes()))
    plan.set_memory_reserve(static_cast<uint64_t>(settings.cluster->device.reserveBytes));
  for (auto program : module.getOps<plan::ProgramOp>())
    if (failed(serialize(program, plan)))
      return failure();
  describe(config, plan);
  const std::string cache = defaultKernelCacheDirectory();
  if (failed(options.targetGpu.empty() ? compileCode(module, options.targetCpu, cache, plan)
                                       : compileGpuCode(module, options.targetGpu, cache, plan)))
    return failure();
  addGraphs(options, plan);

  // What was planned is proven before it is written: a fault here is the compiler's, except for the
  // budget.
  std::vector<std::string> faults = runtime::checkPlan(plan);
  for (const std::string &fault : faults)
    (void)fail(fault);
  if (!faults.empty())
    return failure();
  runtime::writePlan(plan, options.output);
  if (options.explain)
    llvm::errs() << runtime::summarize(plan);
  return options.report.empty() ? success() : writeReport(options.report, plan, blocks);
}

/// Kernels are chosen, and their workspaces sized, as on the machine that will run them; of what it
/// offers beyond this one nothing can be asked here.
static void setTargetCpu(StringRef level) {
  runtime::limitProviders(level);
  if (!runtime::offers(runtime::cpuLevel(), level))
    llvm::errs() << "ds-opt: note: --target-cpu " << level << ": this machine offers "
                 << runtime::cpuLevel()
                 << ", so library kernels get the workspaces that they need here; if ds-run finds "
                    "them too small, run ds-opt on a machine that offers "
                 << level << "\n";
}

static LogicalResult planWith(MLIRContext &context, Options options) {
  setTargetCpu(options.targetCpu);
  Settings settings;
  if (failed(readSettings(options, settings)))
    return failure();
  const TrainingConfig &config = settings.config;
  if (options.memoryGib == 0 && settings.cluster)
    options.memoryGib = gibibytes(settings.cluster->device.usableBytes());
  if (options.targetGpu.empty() && settings.cluster)
    options.targetGpu = settings.cluster->device.gpu;
  if (!options.targetGpu.empty())
    options.threads = 1; // of the host: kernels are started, not run, there
  else if (options.threads == 0)
    options.threads =
        std::max<int64_t>(1, std::thread::hardware_concurrency() / config.mesh.ranks());
  FailureOr<OwningOpRef<ModuleOp>> module =
      importModel(context, options, config, std::move(settings.inputs));
  if (failed(module))
    return failure();
  annotate(**module, config);
  // Every float type is f64 then.
  if (options.f64)
    for (StringRef narrow : {graph::kMixedPrecisionAttr, graph::kLossScaleAttr})
      (**module)->removeAttr(narrow);
  if (failed(pinLayouts(**module, config)))
    return failure();
  uint64_t modelHash = hashOf(**module);
  if (failed(decide(**module, options, settings)))
    return failure();
  const std::string blocks = options.report.empty() ? "" : blockTable(**module);
  if (failed(lower(**module, options, config)))
    return failure();
  return options.emit == Emit::Plan ? emitPlan(**module, options, settings, modelHash, blocks)
                                    : emitIr(**module, options);
}

int planModel(int argc, char **argv) {
  int exitCode = 0;
  std::optional<Options> options = parseOptions(argc, argv, exitCode);
  if (!options)
    return exitCode;
  DialectRegistry registry;
  registerDialects(registry);
  MLIRContext context(registry);
  context.printOpOnDiagnostic(false); // the place is for users, the op's text is not
  context.loadAllAvailableDialects();
  UserDiagnostics diagnostics(&context);
  if (options->explain)
    explainDecisions(context);
  try {
    return static_cast<int>(succeeded(planWith(context, *options)) ? runtime::ExitCode::Done
                                                                   : runtime::ExitCode::BadInput);
  } catch (const runtime::Error &error) {
    (void)fail(error.what());
    return static_cast<int>(error.code());
  }
}

} // namespace deepshard
