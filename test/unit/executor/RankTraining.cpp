//===- RankTraining.cpp - least squares on several ranks --------------------------------------===//

#include "test/unit/executor/RankTraining.h"

#include "runtime/comm/World.h"
#include "runtime/plan/File.h"
#include "test/unit/runtime/RankPlans.h"

#include <cmath>
#include <thread>

namespace deepshard::runtime::test {

namespace {

using planpb::Collective, planpb::F64, planpb::PERSISTENT, planpb::STEP, planpb::TRANSIENT;

class RegressionBuilder {
public:
  RegressionBuilder(const Regression &from, const std::string &weightFile)
      : from(from), b({{"data", from.ranks}}) {
    planpb::Training &training = *b.plan.mutable_training();
    training.set_micro_batch(from.microBatch);
    training.set_accumulation(from.accumulation);
    training.set_global_batch(from.microBatch * from.accumulation * from.ranks);
    training.set_learning_rate(from.rate);
    b.program().add_streams("comm");
    makeWeights(weightFile);
  }

  planpb::Plan build() {
    uint32_t features = from.features;
    uint32_t samples = from.microBatch * from.accumulation * from.ranks;
    planpb::View rate = b.buffer("rate", PERSISTENT, F64, {});
    planpb::View mean = b.constant("mean", 1.0 / samples);
    planpb::View two = b.constant("two", 2);
    gradient = b.window("gradient", STEP, features);
    planpb::View total = b.window("total", STEP, 1);
    planpb::View sum = scalarOf(total);
    planpb::View x = b.buffer("x", TRANSIENT, F64, {from.microBatch, features});
    planpb::View y = b.buffer("y", TRANSIENT, F64, {from.microBatch});
    planpb::View prediction = b.buffer("prediction", TRANSIENT, F64, {from.microBatch});
    planpb::View part = b.buffer("part", TRANSIENT, F64, {features});
    planpb::View partLoss = b.buffer("part_loss", TRANSIENT, F64, {});
    planpb::View factor = b.buffer("factor", TRANSIENT, F64, {});
    planpb::View loss = b.buffer("loss", STEP, F64, {});
    planpb::Layout *layout = addInput(b.plan, "x", x).mutable_layout();
    *layout->add_dims() = data;
    layout->add_dims();
    *addInput(b.plan, "y", y).mutable_layout()->add_dims() = data;
    addRunState(b, "learning_rate", rate);
    addMetric(b, "loss", loss);

    uint32_t start = b.segment("start");
    addZero(b, gradient);
    addZero(b, sum);
    uint32_t micro = b.segment("micro_batch");
    if (from.zero == Zero::Parameters)
      onComm(Collective::ALL_GATHER, own, whole);
    b.feed(0, x);
    b.feed(1, y);
    addMatmul(b, x, 1, whole, prediction);
    b.launch("sub", {prediction, y}, {prediction});
    addMatmul(b, prediction, 0, prediction, partLoss);
    b.launch("add", {sum, partLoss}, {sum});
    addMatmul(b, x, 0, prediction, part);
    b.launch("add", {gradient, part}, {gradient});
    uint32_t update = b.segment("update");
    onComm(Collective::ALL_REDUCE, total, total);
    planpb::View reduced = reduceGradient();
    b.launch("mul", {sum, mean}, {loss});
    b.launch("mul", {rate, mean}, {factor});
    b.launch("mul", {factor, two}, {factor});
    b.launch("mul", {reduced, repeat(factor, {reduced.shape(0)})}, {reduced});
    b.launch("sub", {own, reduced}, {own});
    if (from.zero == Zero::Update)
      onComm(Collective::ALL_GATHER, own, whole);
    b.program().set_events(events);
    b.call(start);
    for (uint32_t i = 0; i < from.accumulation; ++i)
      b.call(micro, i);
    b.call(update);
    return b.plan;
  }

private:
  void makeWeights(const std::string &weightFile) {
    uint32_t features = from.features;
    if (from.zero == Zero::Parameters) {
      own = b.window("weight", PERSISTENT, features / from.ranks);
      whole = b.window("gathered", TRANSIENT, features);
      b.bucketAt("parameter.0", "parameter", own, features, data);
    } else {
      whole = b.window("weight", PERSISTENT, features);
      own = from.zero == Zero::Update ? b.ownPart(whole, data) : whole;
      b.bucketAt("parameter.0", "parameter", whole, features);
    }
    b.parameter("weight", {features}, weightFile).add_aliases("tied.weight");
  }

  planpb::View reduceGradient() {
    if (from.zero == Zero::Nothing) {
      onComm(Collective::ALL_REDUCE, gradient, gradient);
      return gradient;
    }
    planpb::View part = b.ownPart(gradient, data);
    onComm(Collective::REDUCE_SCATTER, gradient, part);
    return part;
  }

  static planpb::View scalarOf(planpb::View view) {
    view.clear_shape();
    view.clear_strides();
    return view;
  }

  /// A collective on stream 1, after and before all of stream 0.
  void onComm(Collective::Kind kind, const planpb::View &input, const planpb::View &output) {
    b.record(0, events);
    b.wait(1, events);
    b.collective(kind, data, input, output, 1);
    b.record(1, events + 1);
    b.wait(0, events + 1);
    events += 2;
  }

  const Regression from;
  RankPlanBuilder b;
  planpb::AxisList data = wholeAxes({0});
  planpb::View whole, own, gradient;
  uint32_t events = 0;
};

} // namespace

planpb::Plan planOf(const Regression &regression, const std::string &weightFile) {
  return RegressionBuilder(regression, weightFile).build();
}

ExecutorOptions writeData(const TemporaryDirectory &directory, uint32_t features, size_t samples) {
  std::vector<double> x, y, w;
  for (size_t i = 0; i < samples * features; ++i)
    x.push_back(std::sin(1.7 * static_cast<double>(i)));
  for (size_t i = 0; i < samples; ++i)
    y.push_back(std::cos(0.9 * static_cast<double>(i)));
  for (size_t i = 0; i < features; ++i)
    w.push_back(0.1 * static_cast<double>(i));
  writeFile(directory.path("x.bin"), bytesOf(x));
  writeFile(directory.path("y.bin"), bytesOf(y));
  writeFile(directory.path("w"), bytesOf(w));
  ExecutorOptions options;
  options.data.files = {{"x", directory.path("x.bin") + ":float64"},
                        {"y", directory.path("y.bin") + ":float64"}};
  options.data.shuffle = false;
  return options;
}

Outcome runOnThreads(const planpb::Plan &plan, const ExecutorOptions &options, int steps,
                     const std::string &weightsPath) {
  World world(static_cast<int>(plan.ranks()), jobWindowBytes(plan), std::chrono::seconds(60));
  OutputFile file(weightsPath);
  Outcome outcome;
  outcome.losses.resize(plan.ranks());
  outcome.skipped.resize(plan.ranks());
  std::vector<std::jthread> threads;
  for (int rank = 0; rank < world.ranks(); ++rank)
    threads.emplace_back([&, rank] {
      try {
        Executor executor(plan, options, &world, rank);
        for (int i = 0; i < steps; ++i) {
          const StepResult result = executor.step();
          if (const double *loss = result.find("loss"))
            outcome.losses[static_cast<size_t>(rank)].push_back(*loss);
          if (const double *skipped = result.find("skipped_steps"))
            outcome.skipped[static_cast<size_t>(rank)] = *skipped;
        }
        executor.saveWeights(file);
      } catch (const std::exception &error) {
        world.abort(rank, error.what());
      }
    });
  threads.clear();
  if (world.isAborted())
    throw Error(world.abortReason(), ExitCode::RankFailed);
  file.commit();
  outcome.weights = readFile(weightsPath);
  return outcome;
}

} // namespace deepshard::runtime::test
