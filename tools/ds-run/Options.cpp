//===- Options.cpp - the command line of ds-run -----------------------------------------------===//

#include "tools/ds-run/Options.h"

#include "runtime/plan/Error.h"
#include "tools/Within.h"

#include <CLI/CLI.hpp>

#include <limits>

namespace deepshard {

static std::string splitData(const std::vector<std::string> &texts, RunOptions &options) {
  for (const std::string &text : texts) {
    size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
      return "--data " + text + ": NAME=FILE was expected";
    options.data.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return "";
}

std::optional<RunOptions> parseOptions(int argc, char **argv, int &exitCode) {
  RunOptions options;
  std::vector<std::string> data;
  bool noShuffle = false;
  CLI::App app("Executes a plan made by ds-opt.", "ds-run");
  app.add_option("plan", options.plan, "The plan (*.dsplan)")->required()->type_name("PLAN");
  app.add_option("--data", data,
                 "Data of an input: .npy, or a flat file of numbers (.bin; type from FILE.json or "
                 "as FILE:uint16)")
      ->type_name("NAME=FILE")
      ->allow_extra_args(false);
  constexpr uint64_t kMostSteps = 1'000'000'000'000;
  CLI::Option *steps = app.add_option("--steps", options.steps, "Optimizer steps to run")
                           ->check(within<uint64_t>(1, kMostSteps));
  app.add_option("--seed", options.seed, "Seed of shuffling and dropout")->capture_default_str();
  app.add_flag("--no-shuffle", noShuffle, "Take samples in the order of the file");
  app.add_option("--metrics", options.metrics, "Write one JSON object a step to this file");
  app.add_option("--trace", options.trace,
                 "Write when each task ran (JSON for ui.perfetto.dev) to this file");
  app.add_flag(
      "--profile", options.profile,
      "Print at the end where the time of a step of rank 0 goes: by kernel, by shape, beside "
      "the matmul and memory peaks of this machine");
  app.add_option("--weights", options.weights, "Start from these weights (safetensors)");
  app.add_option("--save-weights", options.saveWeights, "Write the weights here at the end");
  app.add_option("--threads", options.threads,
                 "Threads of each rank (default: those the plan was made for)")
      ->check(within(1, 4096));
  app.add_option("-n", options.ranks, "Number of ranks; must be the plan's")
      ->type_name("RANKS")
      ->check(within(1, std::numeric_limits<int>::max()));
  constexpr double kLeastTimeout = 0.001, kMostTimeout = 365 * 24 * 3600;
  app.add_option("--timeout", options.timeout,
                 "Seconds after which a rank gives up waiting for others that do not move")
      ->check(within(kLeastTimeout, kMostTimeout))
      ->capture_default_str();
  app.add_flag("--one-by-one", options.oneByOne,
               "Wait for each task before the next, so that a failure on a GPU names its task");
  app.add_option("--cuda-libs", options.cudaLibraries,
                 "Where NVIDIA's libraries are looked for first (plans for CUDA)")
      ->type_name("DIR");
  app.add_flag("--share-gpu", options.shareGpu,
               "Run all ranks on the first GPU, as threads of one process (plans for CUDA)");
  // For tests: bits must not depend on when tasks run.
  app.add_option("--delay-seed", options.delaySeed, "Wait at random before tasks")->group("");
  app.add_flag("--check", options.checkOnly, "Prove the plan, print what it holds, run nothing");
  try {
    app.parse(argc, argv);
    if (!options.checkOnly && steps->count() == 0)
      throw CLI::RequiredError("--steps");
    if (std::string fault = splitData(data, options); !fault.empty())
      throw CLI::ValidationError(fault);
  } catch (const CLI::ParseError &error) {
    bool isHelp = app.exit(error) == 0;
    exitCode = static_cast<int>(isHelp ? runtime::ExitCode::Done : runtime::ExitCode::Usage);
    return std::nullopt;
  }
  options.shuffle = !noShuffle;
  return options;
}

} // namespace deepshard
