//===- PlanReduce.cpp - reductions become steps -----------------------------------------------===//

#include "runtime/kernels/cuda/Plans.h"
#include "runtime/kernels/reference/Folds.h"
#include "runtime/kernels/reference/Reduction.h"

namespace deepshard::runtime::cuda {

namespace {

using namespace reference;

Fold foldOf(const std::string &name) {
  return name == "reduce_sum"   ? Fold::Sum
         : name == "reduce_max" ? Fold::Max
         : name == "reduce_min" ? Fold::Min
                                : Fold::LogSumExp;
}

/// Integers of all widths are folded as i64: what an extremum begins with is that of their own
/// width.
template <typename T> int64_t initialOf(Fold fold) {
  return fold == Fold::Max   ? int64_t{Max<T>::kInitial}
         : fold == Fold::Min ? int64_t{Min<T>::kInitial}
                             : 0;
}

int64_t initialOf(Fold fold, DType type) {
  switch (type) {
  case DType::I64:
    return initialOf<int64_t>(fold);
  case DType::I32:
    return initialOf<int32_t>(fold);
  case DType::I8:
    return initialOf<int8_t>(fold);
  case DType::I1:
    return initialOf<uint8_t>(fold);
  default:
    return 0;
  }
}

Steps planReduce(const KernelSpec &spec) {
  Reduction split = Reduction::of(spec);
  DType type = spec.inputs[0].dtype;
  ReduceParameters parameters = {};
  parameters.kept = nestOf(split.kept);
  parameters.reduced = nestOf(split.reduced);
  parameters.fold = foldOf(spec.name);
  bool isExponential = parameters.fold == Fold::LogSumExp;
  parameters.chunks = isExponential ? 1 : split.chunks();
  parameters.foldsBlocks = !isExponential && parameters.chunks == 1 && split.foldsBlocks();
  parameters.initial = initialOf(parameters.fold, type);
  parameters.type = elementOf(type);
  Steps steps;
  int64_t results = parameters.kept.count;
  if (results == 0)
    return steps;
  int64_t threads = parameters.foldsBlocks ? results : results * parameters.chunks * kFoldLanes;
  std::vector<Place> places = {Place::output(0), Place::input(0), Place()};
  if (parameters.chunks > 1) {
    places[2] = Place::workspace(0);
    steps.workspaceBytes = static_cast<size_t>(results * parameters.chunks) * sizeof(double);
  }
  steps.steps.push_back(LaunchStep::of(std::string("ds_reduce_") + computedIn(type),
                                       (threads + kThreads - 1) / kThreads, kThreads, parameters,
                                       places));
  if (parameters.chunks > 1)
    steps.steps.push_back(LaunchStep::of(std::string("ds_finish_reduce_") + computedIn(type),
                                         blocksFor(results), kThreads, parameters, places));
  return steps;
}

} // namespace

void addReduce(PlanTable &table) {
  for (const char *name : {"reduce_sum", "reduce_max", "reduce_min", "reduce_log_sum_exp"})
    table[name] = planReduce;
}

} // namespace deepshard::runtime::cuda
