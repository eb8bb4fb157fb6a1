//===- Options.cpp - the command line of ds-opt when it plans a model -------------------------===//

#include "tools/ds-opt/Options.h"

#include "runtime/kernels/CpuLevel.h"
#include "runtime/kernels/cuda/GpuDescription.h"
#include "runtime/plan/Error.h"
#include "tools/Within.h"

#include <CLI/CLI.hpp>

#include <limits>

namespace deepshard {

std::optional<Options> parseOptions(int argc, char **argv, int &exitCode) {
  Options options;
  CLI::App app("Plans the training of a model: reads a TorchScript archive and a DeepSpeed-style "
               "configuration, writes a "
               "plan for ds-run.\n`ds-opt FILE.mlir --help` lists the passes that run on IR.",
               "ds-opt");
  app.add_option("MODEL", options.model, "TorchScript archive (torch.jit.save)")->required();
  app.add_option("--config", options.config, "ds_config.json; docs/config.md lists the keys");
  app.add_option("--cluster", options.cluster,
                 "cluster.json: devices and links, which decide what pays and what fits; "
                 "docs/cluster.md lists the keys (default: ranks on the cores of one host)");
  app.add_option("--set", options.overrides,
                 "KEY=VALUE: overrides one key of the configuration, by dotted name")
      ->allow_extra_args(false);
  app.add_option("--input", options.inputs,
                 "NAME=DTYPE[AxBxC]: an input of the model; the size called `batch` is bound by "
                 "the configuration, @context behind another marks the sequence")
      ->allow_extra_args(false);
  app.add_option("-o,--output", options.output, "where to write the plan (or the IR, by --emit)");
  app.add_option("--loss", options.loss, "output to minimise (default: the only float scalar)");
  const std::map<std::string, Emit> emits = {
      {"graph", Emit::Graph},         {"step", Emit::Step},
      {"annotated", Emit::Annotated}, {"partitioned", Emit::Partitioned},
      {"plan-ir", Emit::PlanIr},      {"plan", Emit::Plan}};
  app.add_option(
         "--emit", options.emit,
         "graph: after import; step: the training step; annotated: with a layout per value; "
         "partitioned: the step of a rank; plan-ir; plan (default)")
      ->transform(CLI::CheckedTransformer(emits, CLI::ignore_case));
  std::string precision = "f32";
  app.add_option("--precision", precision,
                 "f32 (default), or f64: every float type, on reference kernels")
      ->check(CLI::IsMember({"f32", "f64"}));
  app.add_option(
         "--ranks", options.ranks,
         "ranks the plan is for (default, and what it must be: the product of the mesh axes "
         "in the configuration)")
      ->check(within(1, std::numeric_limits<int32_t>::max()));
  app.add_option(
         "--threads", options.threads,
         "threads a rank will use (default: the cores of this machine, shared by the ranks)")
      ->check(within(1, 4096));
  app.add_option(
         "--target-cpu", options.targetCpu,
         "what the CPUs that will run the plan offer: x86-64-v3 (AVX2), x86-64-v4 (AVX-512) "
         "or x86-64-v4-bf16 (default: what this machine offers)")
      ->check(CLI::IsMember(
          std::vector<std::string>(runtime::kCpuLevels.begin(), runtime::kCpuLevels.end())));
  app.add_option("--target-gpu", options.targetGpu,
                 "plan for NVIDIA GPUs of this kind: sm_90 is Hopper; docs/cuda.md (default: "
                 "device.gpu of the cluster file, else ranks are CPUs)")
      ->check(CLI::IsMember(
          std::vector<std::string>(std::begin(runtime::kGpuChips), std::end(runtime::kGpuChips))));
  app.add_option(
         "--cuda-libs", options.cudaLibraries,
         "where cuDNN and NVRTC are looked for first, to build the kernels of attention and "
         "convolutions into a plan for GPUs (docs/cuda.md)")
      ->check(CLI::ExistingDirectory);
  app.add_flag("--without-cudnn", options.withoutCudnn,
               "plan for GPUs without cuDNN: attention becomes products and generated kernels; a "
               "model with convolutions is refused");
  constexpr double kMostMemoryGib = 128 << 10; // what addresses of 47 bits reach
  app.add_option(
         "--memory-gib", options.memoryGib,
         "memory a rank may use; a plan that needs more is refused (default: what the cluster "
         "file says, else no limit)")
      ->check(within(1e-6, kMostMemoryGib));
  app.add_option("--fold-mib", options.foldMib,
                 "largest tensor that is computed at import (default: 64)")
      ->check(within(0, 1 << 20));
  app.add_flag(
      "--explain", options.explain,
      "say what was decided and why: layouts, what is moved, parameters kept whole, memory "
      "and traffic of a rank (on standard error)");
  app.add_option("--report", options.report,
                 "OUT.html: a page about the plan: layouts by block, bytes by axis, memory");
  app.add_option("--why-not", options.whyNot,
                 "PATTERN=LAYOUT: say what it would cost to give parameters this layout instead of "
                 "the one that was found, as in '*.c_fc.weight=[\"tensor\", []]', or "
                 "AXIS.MODULE=row (or column, or whole), as in tensor.h.3.mlp=row")
      ->allow_extra_args(false);
  app.add_flag("--elide", options.elide, "print large constants of the IR as ...");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    exitCode = app.exit(error) == 0 ? 0 : static_cast<int>(runtime::ExitCode::Usage);
    return std::nullopt;
  }
  options.f64 = precision == "f64";
  if (options.targetCpu.empty())
    options.targetCpu = runtime::cpuLevel();
  if (!options.report.empty() && options.emit != Emit::Plan) {
    fprintf(stderr, "ds-opt: --report describes a plan; leave --emit out\n");
    exitCode = static_cast<int>(runtime::ExitCode::Usage);
    return std::nullopt;
  }
  if (!options.whyNot.empty() && options.emit < Emit::Annotated) {
    fprintf(stderr, "ds-opt: --why-not asks the search for layouts, which comes after --emit graph "
                    "and step; leave --emit out or ask for annotated\n");
    exitCode = static_cast<int>(runtime::ExitCode::Usage);
    return std::nullopt;
  }
  bool needsConfig = options.emit != Emit::Graph;
  if ((needsConfig && options.config.empty()) ||
      (options.emit == Emit::Plan && options.output.empty())) {
    fprintf(stderr, "ds-opt: %s\n",
            options.config.empty()
                ? "--config FILE is needed to plan training (examples/gpt2/ds_config.json is one)"
                : "-o FILE.dsplan is needed to write a plan");
    exitCode = static_cast<int>(runtime::ExitCode::Usage);
    return std::nullopt;
  }
  return options;
}

} // namespace deepshard
