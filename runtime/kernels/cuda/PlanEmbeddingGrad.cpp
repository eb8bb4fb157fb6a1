//===- PlanEmbeddingGrad.cpp - the gradient of an embedding becomes steps ---------------------===//

#include "runtime/kernels/Accumulate.h"
#include "runtime/kernels/cuda/Plans.h"
#include "runtime/kernels/cuda/PositionSort.h"
#include "runtime/kernels/cuda/Primitives.h"
#include "runtime/kernels/reference/Indices.h"

namespace deepshard::runtime::cuda {

namespace {

using reference::head;
using reference::tail;

/// The passes of the sort, and the first position of each row.
void addSort(std::vector<Step> &steps, const PositionSort &sort, const TensorDesc &ids,
             Place firstRow) {
  for (int pass = 0; pass < sort.passes && sort.positions > 0; ++pass) {
    SortParameters parameters = {};
    parameters.idNest = nestInRowMajorOrder(ids);
    parameters.positions = sort.positions;
    parameters.rows = sort.rows;
    parameters.tiles = sort.tiles;
    parameters.digitBits = sort.digitBits;
    parameters.shift = pass * sort.digitBits;
    parameters.isFirst = pass == 0;
    parameters.isWide = ids.dtype == DType::I64;
    int to = pass % 2, from = 1 - to;
    std::vector<Place> places = {Place::input(1),
                                 firstRow,
                                 Place::workspace(sort.keys[from]),
                                 Place::workspace(sort.values[from]),
                                 Place::workspace(sort.keys[to]),
                                 Place::workspace(sort.values[to]),
                                 Place::workspace(sort.counts)};
    for (const char *function : {"ds_sort_count", "ds_sort_place"})
      steps.push_back(LaunchStep::of(function, sort.tiles, kSortTile, parameters, places));
  }
  SortStartsParameters parameters = {};
  parameters.positions = sort.positions;
  parameters.rows = sort.rows;
  int last = (sort.passes - 1) % 2;
  steps.push_back(
      LaunchStep::of("ds_sort_starts", blocksFor(sort.rows + 1), kThreads, parameters,
                     {Place::workspace(sort.keys[last]), Place::workspace(sort.starts)}));
}

/// In the order in which atomics come.
Steps planAtomics(const KernelSpec &spec, Place firstRow, Place sum) {
  const TensorDesc &dy = spec.inputs[0], &ids = spec.inputs[1], &out = spec.outputs[0];
  const TensorDesc row = tail(dy, ids.rank());
  EmbeddingGradAtomicParameters parameters = {};
  parameters.table = nestOf(out.shape, {out});
  parameters.places = nestOf(ids.shape, {head(dy, ids.rank()), ids});
  parameters.row = nestOf(row.shape, {tail(out, 1), row});
  parameters.rows = out.shape[0];
  parameters.rowStep = out.strides[0] * static_cast<int64_t>(sizeOf(out.dtype));
  parameters.columns = row.elements();
  parameters.isWide = ids.dtype == DType::I64;
  const std::string type = computedIn(dy.dtype);
  const std::vector<Place> places = {Place::output(0), Place::input(0), Place::input(1), sum,
                                     firstRow};
  Steps steps;
  steps.steps.push_back(LaunchStep::of("ds_embedding_grad_start_" + type, blocksFor(out.elements()),
                                       kThreads, parameters, places));
  steps.steps.push_back(LaunchStep::of("ds_embedding_grad_atomic_" + type, blocksFor(dy.elements()),
                                       kThreads, parameters, places));
  return steps;
}

Steps planEmbeddingGrad(const KernelSpec &given) {
  bool adds = accumulates(given);
  KernelSpec spec = adds ? withoutAccumulator(given) : given;
  const TensorDesc &dy = spec.inputs[0], &ids = spec.inputs[1], &out = spec.outputs[0];
  Place firstRow = spec.inputs.size() > 2 ? Place::input(2) : Place();
  Place sum = adds ? Place::input(given.inputs.size() - 1) : Place();
  if (spec.attributes.flag(kAtomicAttribute) && out.elements() > 0)
    return planAtomics(spec, firstRow, sum);
  PositionSort sort = PositionSort::of(ids.elements(), out.shape[0]);
  Steps steps;
  steps.workspaceBytes = sort.bytes;
  if (out.elements() == 0)
    return steps;
  addSort(steps.steps, sort, ids, firstRow);
  EmbeddingGradParameters parameters = {};
  parameters.places = nestInRowMajorOrder(head(dy, ids.rank()));
  TensorDesc row = tail(dy, ids.rank());
  parameters.row = nestOf(row.shape, {tail(out, 1), row});
  parameters.rows = out.shape[0];
  parameters.rowStep = out.strides[0] * static_cast<int64_t>(sizeOf(out.dtype));
  parameters.columns = row.elements();
  int last = (sort.passes - 1) % 2;
  // A warp has 32 times 16 bytes of a row.
  int64_t perWarp = 512 / static_cast<int64_t>(sizeOf(dy.dtype));
  int64_t warps = parameters.rows * ((parameters.columns + perWarp - 1) / perWarp);
  steps.steps.push_back(
      LaunchStep::of(std::string("ds_embedding_grad_") + computedIn(dy.dtype),
                     blocksFor(warps * 32), kThreads, parameters,
                     {Place::output(0), Place::input(0), sum, Place::workspace(sort.starts),
                      Place::workspace(sort.values[last])}));
  return steps;
}

} // namespace

void addEmbeddingGrad(PlanTable &table) { table["embedding_grad"] = planEmbeddingGrad; }

} // namespace deepshard::runtime::cuda
