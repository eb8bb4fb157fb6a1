//===- DataSet.cpp - the files behind a plan's inputs -----------------------------------------===//

#include "runtime/data/DataSet.h"

#include "runtime/plan/Error.h"
#include "runtime/plan/Mesh.h"
#include "runtime/plan/Types.h"
#include "runtime/plan/plan.pb.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace deepshard::runtime {

DataSet::DataSet(const planpb::Plan &plan, const DataOptions &options, int rank)
    : order(1, options.seed, options.shuffle) {
  for (int i = 0; i < plan.inputs_size(); ++i)
    addInput(plan, i, rank);
  std::vector<std::string> faults;
  openFiles(options, faults);
  if (faults.empty())
    compareCounts(plan.training().global_batch(), faults);
  if (!faults.empty())
    throw Error(fmt::format("{}", fmt::join(faults, "\n")));
  order = SampleOrder(std::max<uint64_t>(sampleCount, 1), options.seed, options.shuffle);
}

void DataSet::addInput(const planpb::Plan &plan, int index, int rank) {
  const Mesh mesh(plan.mesh());
  const planpb::Input &from = plan.inputs(index);
  Input input;
  input.type.input = from.name();
  input.type.dtype = dtypeOf(from.dtype());
  input.shape.assign(from.shape().begin(), from.shape().end());
  input.batchDimension = from.batch_dimension();
  input.type.hasSamples = input.batchDimension >= 0;
  for (int i = 0; i < from.shape_size(); ++i) {
    if (i == input.batchDimension)
      continue;
    const planpb::AxisList axes = axesOf(from, i);
    input.sampleDims.push_back(i);
    input.type.shape.push_back(from.shape(i) * static_cast<int64_t>(mesh.parts(axes)));
    input.begins.push_back(from.shape(i) *
                           static_cast<int64_t>(mesh.part(axes, static_cast<uint64_t>(rank))));
  }
  input.counter.resize(input.sampleDims.size());
  if (from.index_bound() > 0) {
    input.range.lowest = 0;
    input.range.highest = from.index_bound() - 1;
    if (from.has_ignored_index())
      input.range.alsoAllowed = from.ignored_index();
  }
  inputs.push_back(std::move(input));
}

/// The shape of the rank's micro-batch with whole samples.
static std::vector<int64_t> wholeShape(const auto &input) {
  std::vector<int64_t> shape = input.shape;
  for (size_t i = 0; i < input.sampleDims.size(); ++i)
    shape[static_cast<size_t>(input.sampleDims[i])] = input.type.shape[i];
  return shape;
}

void DataSet::openFiles(const DataOptions &options, std::vector<std::string> &faults) {
  std::vector<std::string> names;
  for (const Input &input : inputs)
    names.push_back(input.type.input);
  for (const auto &[name, path] : options.files) {
    auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      faults.push_back(fmt::format("--data {}={}: the plan has no input {}; it has {}", name, path,
                                   name, fmt::join(names, ", ")));
      continue;
    }
    Input &input = inputs[static_cast<size_t>(found - names.begin())];
    if (input.file) {
      faults.push_back(fmt::format("--data {}={}: the input was given before", name, path));
      continue;
    }
    try {
      input.file = std::make_unique<SampleFile>(path, input.type);
      input.row.resize(input.file->bytesPerSample());
    } catch (const Error &error) {
      faults.push_back(error.what());
    }
  }
  for (const Input &input : inputs) {
    bool isGiven = std::any_of(options.files.begin(), options.files.end(),
                               [&](const auto &pair) { return pair.first == input.type.input; });
    if (!isGiven)
      faults.push_back(fmt::format("input {0} ({1} of shape {2}) has no data; give --data {0}=FILE",
                                   input.type.input, nameOf(input.type.dtype),
                                   fmt::join(wholeShape(input), "x")));
  }
}

void DataSet::compareCounts(uint64_t globalBatch, std::vector<std::string> &faults) {
  const Input *first = nullptr;
  for (const Input &input : inputs) {
    if (!input.type.hasSamples)
      continue;
    if (!first) {
      first = &input;
      sampleCount = input.file->samples();
    } else if (input.file->samples() != sampleCount) {
      faults.push_back(fmt::format(
          "{} has {} samples for input {}, but {} has {} for input {}; they must have equally many",
          input.file->path(), input.file->samples(), input.type.input, first->file->path(),
          sampleCount, first->type.input));
    }
  }
  if (first && sampleCount < globalBatch) {
    std::string shape = fmt::format("{}", fmt::join(first->type.shape, "x"));
    faults.push_back(fmt::format("{}: is too short: it has {} samples of {} numbers, a step takes "
                                 "{} samples",
                                 first->file->path(), sampleCount, shape.empty() ? "1" : shape,
                                 globalBatch));
  }
}

void DataSet::feed(size_t index, uint64_t position, void *to, std::span<const int64_t> strides) {
  Input &input = inputs[index];
  char *base = static_cast<char *>(to);
  if (input.batchDimension < 0)
    return place(input, 0, base, strides);
  auto batch = static_cast<size_t>(input.batchDimension);
  int64_t step = strides[batch] * static_cast<int64_t>(sizeOf(input.type.dtype));
  for (int64_t i = 0; i < input.shape[batch]; ++i)
    place(input, order.sampleAt(position + static_cast<uint64_t>(i)), base + i * step, strides);
}

/// Converts the rank's piece of one sample into a strided window, line by line of its last
/// dimension.
void DataSet::place(Input &input, uint64_t sample, char *to, std::span<const int64_t> strides) {
  input.file->read(sample, input.row.data());
  size_t rank = input.sampleDims.size();
  auto sizeAt = [&](size_t i) { return input.shape[static_cast<size_t>(input.sampleDims[i])]; };
  auto strideAt = [&](size_t i) { return strides[static_cast<size_t>(input.sampleDims[i])]; };
  int64_t line = rank == 0 ? 1 : sizeAt(rank - 1);
  int64_t lineStride = rank == 0 ? 1 : strideAt(rank - 1);
  auto width = static_cast<int64_t>(sizeOf(input.type.dtype));
  int64_t total = 1;
  for (size_t i = 0; i < rank; ++i)
    total *= sizeAt(i);
  std::fill(input.counter.begin(), input.counter.end(), 0);
  for (int64_t done = 0; done < total; done += line) {
    // Where the line is in the window, and where it begins in the sample.
    int64_t offset = 0, from = 0;
    for (size_t i = 0; i < rank; ++i) {
      int64_t at = i + 1 < rank ? input.counter[i] : 0;
      offset += at * strideAt(i);
      from = from * input.type.shape[i] + input.begins[i] + at;
    }
    int64_t bad = convertNumbers(
        input.file->dtype(), input.row.data() + from * int64_t(sizeOf(input.file->dtype())), 1,
        input.type.dtype, to + offset * width, lineStride, line, input.range);
    if (bad >= 0) {
      int64_t value = 0;
      convertNumbers(input.file->dtype(),
                     input.row.data() + (from + bad) * int64_t(sizeOf(input.file->dtype())), 1,
                     DType::I64, &value, 1, 1);
      std::string limits = input.range.lowest == 0 ? fmt::format("0 to {}", input.range.highest)
                                                   : std::string(nameOf(input.type.dtype));
      if (input.range.alsoAllowed)
        limits += fmt::format(" and {}, which is ignored", *input.range.alsoAllowed);
      throw Error(fmt::format("{}: number {} of sample {} is {}, but input {} takes {}",
                              input.file->path(), from + bad, sample, value, input.type.input,
                              limits));
    }
    for (size_t i = rank > 0 ? rank - 1 : 0; i-- > 0;) {
      if (++input.counter[i] < sizeAt(i))
        break;
      input.counter[i] = 0;
    }
  }
}

} // namespace deepshard::runtime
