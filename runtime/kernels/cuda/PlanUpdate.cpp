//===- PlanUpdate.cpp - the optimizer's step and what it needs become steps -------------------===//

#include "runtime/kernels/AdamW.h"
#include "runtime/kernels/LossScale.h"
#include "runtime/kernels/Require.h"
#include "runtime/kernels/cuda/Plans.h"

#include <fmt/format.h>

#include <algorithm>

namespace deepshard::runtime::cuda {

namespace {

void requireFlat(const std::vector<TensorDesc> &operands, const char *what) {
  for (size_t i = 0; i < operands.size(); ++i)
    require(operands[i].isContiguous(),
            fmt::format("{} {} is {}, not contiguous", what, i, textOf(operands[i])));
}

Steps planAdamW(const KernelSpec &spec) {
  requireFlat(spec.inputs, "operand");
  requireFlat(spec.outputs, "result");
  bool hasCopy = spec.outputs.size() > 3;
  DType type = spec.inputs[0].dtype;
  AdamWParameters parameters = {};
  parameters.options = AdamWOptions::of(spec.attributes);
  parameters.count = spec.inputs[0].elements();
  parameters.copyType = hasCopy ? elementOf(spec.outputs[3].dtype) : Element::BF16;
  std::vector<Place> places;
  for (size_t i = 0; i < 8; ++i)
    places.push_back(i < spec.inputs.size() ? Place::input(i) : Place());
  for (size_t i = 0; i < 4; ++i)
    places.push_back(i < spec.outputs.size() ? Place::output(i) : Place());
  Steps steps;
  auto perThread = static_cast<int64_t>(16 / sizeOf(type));
  // Each block computes the factors of the step first: no more blocks than keep a GPU busy.
  constexpr int64_t kMostBlocks = 4096;
  int64_t blocks = std::min(kMostBlocks, blocksFor((parameters.count + perThread - 1) / perThread));
  if (parameters.count > 0)
    steps.steps.push_back(LaunchStep::of(std::string("ds_adamw_") + computedIn(type), blocks,
                                         kThreads, parameters, places));
  return steps;
}

Steps planSumSquares(const KernelSpec &spec) {
  const TensorDesc &x = spec.inputs[0];
  SumSquaresParameters squares = {};
  squares.count = x.elements();
  squares.stride = x.strides[0];
  SumPartialsParameters partials = {};
  partials.count = (squares.count + kSquaresTile - 1) / kSquaresTile;
  Steps steps;
  steps.workspaceBytes = static_cast<size_t>(partials.count) * sizeof(double);
  if (partials.count > 0)
    steps.steps.push_back(LaunchStep::of(std::string("ds_sum_squares_") + computedIn(x.dtype),
                                         partials.count, kThreads, squares,
                                         {Place::input(0), Place::workspace(0)}));
  steps.steps.push_back(LaunchStep::of("ds_sum_partials", 1, kThreads, partials,
                                       {Place::workspace(0), Place::output(0)}));
  return steps;
}

Steps planUpdateLossScale(const KernelSpec &spec) {
  LossScaleParameters parameters = {};
  parameters.rule = LossScaleRule::of(spec.attributes);
  Steps steps;
  steps.steps.push_back(LaunchStep::of("ds_update_loss_scale", 1, 1, parameters,
                                       {Place::input(0), Place::input(1), Place::output(0)}));
  return steps;
}

} // namespace

void addUpdate(PlanTable &table) {
  table["adamw"] = planAdamW;
  table["sum_squares"] = planSumSquares;
  table["update_loss_scale"] = planUpdateLossScale;
}

} // namespace deepshard::runtime::cuda
