//===- TrainingOptions.cpp - the configuration on the module and in the plan ------------------===//

#include "tools/ds-opt/TrainingOptions.h"

#include "dialects/graph/Graph.h"
#include "runtime/plan/Mesh.h"

#include "mlir/IR/Builders.h"

using namespace mlir;

namespace deepshard {

void annotate(ModuleOp module, const TrainingConfig &config) {
  Builder builder(module.getContext());
  auto number = [&](double value) { return builder.getF64FloatAttr(value); };
  module->setAttr(graph::kAccumulationAttr, builder.getI64IntegerAttr(config.accumulation));
  module->setAttr(graph::kClippingAttr, number(config.gradientClipping));
  if (config.precision != Precision::F32) {
    const bool isF16 = config.precision == Precision::F16;
    Type narrow = isF16 ? Type(builder.getF16Type()) : builder.getBF16Type();
    Type parameters = config.autocast ? Type(builder.getF32Type()) : narrow;
    module->setAttr(graph::kMixedPrecisionAttr,
                    graph::MixedPrecisionAttr::get(module.getContext(), narrow, parameters));
  }
  if (config.lossScale)
    module->setAttr(
        graph::kLossScaleAttr,
        graph::LossScaleAttr::get(module.getContext(), number(config.lossScale->initial),
                                  config.lossScale->window, config.lossScale->hysteresis,
                                  config.lossScale->consecutiveHysteresis,
                                  number(config.lossScale->minimum)));
  if (!config.optimizer)
    return;
  const Optimizer &optimizer = *config.optimizer;
  module->setAttr(graph::kOptimizerAttr,
                  graph::AdamWAttr::get(module.getContext(), number(optimizer.lr),
                                        number(optimizer.beta1), number(optimizer.beta2),
                                        number(optimizer.eps), number(optimizer.weightDecay),
                                        optimizer.biasCorrection, optimizer.adamWMode));
}

void describe(const TrainingConfig &config, planpb::Plan &plan) {
  planpb::Training &training = *plan.mutable_training();
  training.set_micro_batch(config.microBatch);
  training.set_accumulation(config.accumulation);
  training.set_global_batch(config.trainBatch);
  training.set_steps_per_print(config.stepsPerPrint);
  if (config.optimizer)
    training.set_learning_rate(config.optimizer->lr);
  planpb::LrSchedule &schedule = *training.mutable_schedule();
  schedule.set_type(config.scheduler.type);
  schedule.set_warmup_type(config.scheduler.warmupType);
  for (const auto &[name, value] : config.scheduler.numbers)
    (*schedule.mutable_numbers())[name] = value;
  plan.set_config_hash(config.hash);
  for (const planpb::Input &input : plan.inputs()) {
    if (input.dtype() != planpb::I64 && input.dtype() != planpb::I32)
      continue;
    const runtime::Mesh mesh(plan.mesh());
    uint64_t tokens = config.trainBatch;
    for (int i = 0; i < input.shape_size(); ++i)
      if (i != input.batch_dimension())
        tokens *= input.shape(i) * mesh.parts(runtime::axesOf(input, i));
    training.set_tokens_per_step(tokens);
    break;
  }
}

} // namespace deepshard
