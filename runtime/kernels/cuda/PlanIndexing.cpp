//===- PlanIndexing.cpp - gather, scatter_add and embedding become steps ----------------------===//

#include "runtime/kernels/cuda/Plans.h"
#include "runtime/kernels/reference/Indices.h"

namespace deepshard::runtime::cuda {

namespace {

using reference::head;
using reference::missingElement;
using reference::tail;

int64_t stepOf(const TensorDesc &desc, int64_t dim) {
  return desc.strides[static_cast<size_t>(dim)] * static_cast<int64_t>(sizeOf(desc.dtype));
}

/// The bits of an element of `width` bytes in all elements of 8 bytes.
uint64_t repeated(uint64_t bits, size_t width) {
  for (size_t bytes = width; bytes < 8; bytes *= 2)
    bits |= bits << (8 * bytes);
  return bits;
}

Steps planGather(const KernelSpec &spec) {
  const TensorDesc &x = spec.inputs[0], &index = spec.inputs[1], &out = spec.outputs[0];
  int64_t dim = spec.attributes.integer("dim");
  TensorDesc along{x.dtype, out.shape, x.strides};
  along.strides[static_cast<size_t>(dim)] = 0;
  GatherParameters parameters = {};
  parameters.nest = nestOf(out.shape, {out, index, along});
  parameters.size = x.shape[static_cast<size_t>(dim)];
  parameters.step = stepOf(x, dim);
  parameters.missing = missingElement(x.dtype);
  parameters.width = static_cast<int32_t>(sizeOf(x.dtype));
  parameters.isWide = index.dtype == DType::I64;
  Steps steps;
  if (parameters.nest.count > 0)
    steps.steps.push_back(LaunchStep::of("ds_gather", blocksFor(parameters.nest.count), kThreads,
                                         parameters,
                                         {Place::output(0), Place::input(0), Place::input(1)}));
  return steps;
}

Steps planScatterAdd(const KernelSpec &spec) {
  const TensorDesc &updates = spec.inputs[0], &index = spec.inputs[1], &out = spec.outputs[0];
  int64_t dim = spec.attributes.integer("dim");
  Steps steps;
  if (out.elements() == 0)
    return steps;
  steps.steps.emplace_back(zeros(out));
  if (index.elements() == 0)
    return steps;
  std::vector<int64_t> lines = index.shape;
  lines[static_cast<size_t>(dim)] = 1;
  ScatterAddParameters parameters = {};
  parameters.lines = nestOf(lines, {out, index, updates});
  parameters.length = out.shape[static_cast<size_t>(dim)];
  parameters.outStep = stepOf(out, dim);
  parameters.count = index.shape[static_cast<size_t>(dim)];
  parameters.indexStep = stepOf(index, dim);
  parameters.updateStep = stepOf(updates, dim);
  parameters.isWide = index.dtype == DType::I64;
  steps.steps.push_back(LaunchStep::of(std::string("ds_scatter_add_") + computedIn(out.dtype),
                                       blocksFor(parameters.lines.count), kThreads, parameters,
                                       {Place::output(0), Place::input(0), Place::input(1)}));
  return steps;
}

Steps planEmbedding(const KernelSpec &spec) {
  const TensorDesc &table = spec.inputs[0], &ids = spec.inputs[1], &out = spec.outputs[0];
  bool isPart = spec.inputs.size() > 2;
  EmbeddingParameters parameters = {};
  parameters.places = nestOf(ids.shape, {head(out, ids.rank()), ids});
  TensorDesc row = tail(table, 1);
  parameters.row = nestOf(row.shape, {tail(out, ids.rank()), row});
  parameters.rows = table.shape[0];
  parameters.rowStep = stepOf(table, 0);
  parameters.wholeRows = isPart ? spec.attributes.integer("global_rows") : parameters.rows;
  parameters.missing = repeated(missingElement(table.dtype), sizeOf(table.dtype));
  parameters.width = static_cast<int32_t>(sizeOf(table.dtype));
  parameters.isWide = ids.dtype == DType::I64;
  Steps steps;
  if (out.elements() > 0) // a thread copies up to 16 bytes at a time
    steps.steps.push_back(LaunchStep::of(
        "ds_embedding",
        blocksFor(parameters.places.count * ((parameters.row.count * parameters.width + 15) / 16)),
        kThreads, parameters,
        {Place::output(0), Place::input(0), Place::input(1), isPart ? Place::input(2) : Place()}));
  return steps;
}

} // namespace

void addIndexing(PlanTable &table) {
  table["gather"] = planGather;
  table["scatter_add"] = planScatterAdd;
  table["embedding"] = planEmbedding;
}

} // namespace deepshard::runtime::cuda
