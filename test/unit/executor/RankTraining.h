//===- RankTraining.h - least squares on several ranks ----------------------------------------===//

#ifndef DEEPSHARD_TEST_UNIT_EXECUTOR_RANKTRAINING_H
#define DEEPSHARD_TEST_UNIT_EXECUTOR_RANKTRAINING_H

#include "runtime/executor/Executor.h"
#include "test/unit/runtime/PlanBuilder.h"

#include <string>
#include <vector>

namespace deepshard::runtime::test {

/// What is cut over the ranks.
enum class Zero {
  Nothing,    ///< all_reduce of the gradient, every rank updates all weights
  Update,     ///< reduce_scatter in place, update of the own slice, all_gather in place
  Parameters, ///< each rank keeps a slice of the weights and gathers them in each micro-batch
};

/// Data-parallel `linearRegression`: `microBatch` samples a rank, collectives on a stream of their
/// own. `ranks` divide `features`.
struct Regression {
  Zero zero = Zero::Nothing;
  uint32_t ranks = 2;
  uint32_t features = 8;
  uint32_t microBatch = 2;
  uint32_t accumulation = 3;
  double rate = 0.05;
};
planpb::Plan planOf(const Regression &regression, const std::string &weightFile);

/// Files of a regression with `samples` samples: x, y and w in `directory`; the options that feed
/// them in the order of the file.
ExecutorOptions writeData(const TemporaryDirectory &directory, uint32_t features, size_t samples);

/// What a run gave.
struct Outcome {
  std::vector<std::vector<double>> losses; // per rank, per step, if the plan has a loss
  std::vector<double> skipped; // per rank: steps that overflowed, if the plan counts them
  std::string weights;         // the bytes of the file
};

/// Runs a plan on threads as ranks and saves its weights; `reason` of the first failure if any.
Outcome runOnThreads(const planpb::Plan &plan, const ExecutorOptions &options, int steps,
                     const std::string &weightsPath);

} // namespace deepshard::runtime::test

#endif // DEEPSHARD_TEST_UNIT_EXECUTOR_RANKTRAINING_H
