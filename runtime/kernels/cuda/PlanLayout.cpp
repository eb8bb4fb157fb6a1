//===- PlanLayout.cpp - layout primitives become steps ----------------------------------------===//

#include "runtime/device/cuda/Kernels.h"
#include "runtime/kernels/Require.h"
#include "runtime/kernels/cuda/Plans.h"
#include "runtime/kernels/reference/Moves.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace deepshard::runtime::cuda {

namespace {

/// Dimensions that a copy cannot merge with the next one.
int64_t dimsOf(const reference::Move &move) {
  int64_t dims = 0, last = -1;
  for (int64_t dim = 0; dim < move.to.rank(); ++dim) {
    if (move.to.shape[dim] == 1)
      continue;
    bool continues = last >= 0 &&
                     move.to.strides[last] == move.to.strides[dim] * move.to.shape[dim] &&
                     move.from.strides[last] == move.from.strides[dim] * move.to.shape[dim];
    dims += continues ? 0 : 1;
    last = dim;
  }
  return dims;
}

Step copyOf(const reference::Move &move) {
  require(dimsOf(move) <= kMostDims,
          fmt::format("{} dimensions of {} do not continue each other, at most {} are copied",
                      dimsOf(move), textOf(move.to), kMostDims));
  size_t width = sizeOf(move.to.dtype);
  auto bytes = [&](int64_t elements) { return elements * static_cast<int64_t>(width); };
  return CopyStep{Place::input(static_cast<size_t>(move.input), bytes(move.fromOffset)),
                  Place::output(0, bytes(move.toOffset)),
                  move.to.shape,
                  move.from.strides,
                  move.to.strides,
                  width};
}

Step fillOf(const reference::Move &move) {
  FillParameters parameters = {};
  parameters.nest = nestOf(move.to.shape, {move.to});
  parameters.width = static_cast<int32_t>(sizeOf(move.to.dtype));
  std::memcpy(&parameters.bits, move.constant.data(), move.constant.size());
  return LaunchStep::of("ds_fill", blocksFor(parameters.nest.count), kThreads, parameters,
                        {Place::output(0)});
}

Step reshapeOf(const reference::Move &move) {
  ReshapeParameters parameters = {};
  parameters.outNest = nestInRowMajorOrder(move.to);
  parameters.inNest = nestInRowMajorOrder(move.from);
  parameters.width = static_cast<int32_t>(sizeOf(move.to.dtype));
  return LaunchStep::of("ds_reshape", blocksFor(parameters.outNest.count), kThreads, parameters,
                        {Place::output(0), Place::input(0)});
}

Steps planMoves(const KernelSpec &spec) {
  Steps steps;
  for (const reference::Move &move : reference::movesOf(spec)) {
    if (move.to.elements() == 0)
      continue;
    steps.steps.push_back(move.input < 0                     ? fillOf(move)
                          : move.to.shape != move.from.shape ? reshapeOf(move)
                                                             : copyOf(move));
  }
  return steps;
}

Steps planIota(const KernelSpec &spec) {
  const TensorDesc &out = spec.outputs[0];
  IotaParameters parameters = {};
  TensorDesc numbers{DType::I8, out.shape, std::vector<int64_t>(out.shape.size(), 0)};
  numbers.strides[static_cast<size_t>(spec.attributes.integer("dim"))] = 1;
  parameters.nest = nestOf(out.shape, {out, numbers});
  parameters.type = elementOf(out.dtype);
  Steps steps;
  if (parameters.nest.count > 0)
    steps.steps.push_back(LaunchStep::of("ds_iota", blocksFor(parameters.nest.count), kThreads,
                                         parameters, {Place::output(0)}));
  return steps;
}

} // namespace

void addLayout(PlanTable &table) {
  for (const char *name :
       {"copy", "reshape", "transpose", "broadcast", "slice", "pad", "concat", "fill"})
    table[name] = planMoves;
  table["iota"] = planIota;
}

} // namespace deepshard::runtime::cuda
