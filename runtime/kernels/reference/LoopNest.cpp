//===- LoopNest.cpp - elementwise loops over strided operands ---------------------------------===//

#include "runtime/kernels/reference/LoopNest.h"

#include "runtime/kernels/Parallel.h"
#include "runtime/kernels/reference/Types.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <numeric>

using namespace deepshard::runtime;
using namespace deepshard::runtime::reference;

/// Elements that are worth a thread of their own; a multiple of the longest vector.
static constexpr int64_t kGrain = 8192;

/// Whether dimension `inner` continues dimension `outer` for every operand.
static bool merges(const ByteStrides &outer, const ByteStrides &inner, int64_t innerSize,
                   size_t operands) {
  for (size_t k = 0; k < operands; ++k)
    if (outer[k] != inner[k] * innerSize)
      return false;
  return true;
}

LoopNest::LoopNest(const std::vector<int64_t> &fullShape, const std::vector<TensorDesc> &operands) {
  count = 1;
  for (int64_t size : fullShape)
    count *= size;
  std::vector<size_t> order;
  for (size_t dim = 0; dim < fullShape.size(); ++dim)
    if (fullShape[dim] != 1)
      order.push_back(dim);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return operands[0].strides[a] > operands[0].strides[b];
  });
  for (size_t dim : order) {
    ByteStrides step{};
    for (size_t k = 0; k < operands.size(); ++k)
      step[k] = operands[k].strides[dim] * static_cast<int64_t>(sizeOf(operands[k].dtype));
    if (!shape.empty() && merges(strides.back(), step, fullShape[dim], operands.size())) {
      shape.back() *= fullShape[dim];
      strides.back() = step;
    } else {
      shape.push_back(fullShape[dim]);
      strides.push_back(step);
    }
  }
  if (shape.empty()) {
    shape.push_back(1);
    strides.push_back({});
  }
}

void deepshard::runtime::reference::runRange(const LoopNest &nest, const Pointers &base,
                                             RowFunction row, const void *context, int64_t begin,
                                             int64_t end) noexcept {
  if (begin >= end)
    return;
  const auto dims = static_cast<int>(nest.shape.size());
  const int64_t length = nest.shape[dims - 1];
  std::array<int64_t, kMaxRank> index{};
  Pointers at = base;
  int64_t rest = begin;
  for (int dim = dims - 1; dim >= 0; --dim) {
    index[dim] = rest % nest.shape[dim];
    rest /= nest.shape[dim];
    for (int k = 0; k < kMaxNestOperands; ++k)
      at[k] += index[dim] * nest.strides[dim][k];
  }
  while (begin < end) {
    const int64_t now = std::min(length - index[dims - 1], end - begin);
    row(context, at.data(), nest.strides[dims - 1].data(), now);
    begin += now;
    if (begin == end)
      return;
    // The row is at its end: go back to its start and one step on in the next outer dimension.
    for (int k = 0; k < kMaxNestOperands; ++k)
      at[k] -= index[dims - 1] * nest.strides[dims - 1][k];
    index[dims - 1] = 0;
    for (int dim = dims - 2; dim >= 0; --dim) {
      const bool wraps = ++index[dim] == nest.shape[dim];
      const int64_t steps = wraps ? 1 - nest.shape[dim] : 1;
      for (int k = 0; k < kMaxNestOperands; ++k)
        at[k] += steps * nest.strides[dim][k];
      if (!wraps)
        break;
      index[dim] = 0;
    }
  }
}

int64_t deepshard::runtime::reference::offsetOf(const TensorDesc &desc, int64_t index) {
  int64_t offset = 0;
  for (int64_t dim = desc.rank() - 1; dim >= 0; --dim) {
    offset += index % desc.shape[dim] * desc.strides[dim];
    index /= desc.shape[dim];
  }
  return offset;
}

void NestKernel::run(const KernelArguments &arguments) noexcept {
  for (const NestStep &step : steps) {
    Pointers base{};
    for (size_t k = 0; k < step.operands.size(); ++k) {
      const NestOperand &operand = step.operands[k];
      switch (operand.kind) {
      case NestOperand::Input:
        base[k] = static_cast<char *>(arguments.inputs[operand.index]) + operand.byteOffset;
        break;
      case NestOperand::Output:
        base[k] = static_cast<char *>(arguments.outputs[operand.index]) + operand.byteOffset;
        break;
      case NestOperand::Constant:
        base[k] = const_cast<char *>(step.constant.data());
        break;
      }
    }
    parallelRanges(threads, step.nest.count, kGrain, [&](int64_t begin, int64_t end) {
      runRange(step.nest, base, step.row, step.context.get(), begin, end);
    });
  }
}

void deepshard::runtime::reference::requireEqualShapes(const KernelSpec &spec) {
  for (size_t i = 0; i < spec.inputs.size(); ++i)
    require(spec.inputs[i].shape == spec.outputs[0].shape,
            fmt::format("operand {} is {}, the result {}: an elementwise kernel broadcasts by "
                        "strides of 0 only",
                        i, textOf(spec.inputs[i]), textOf(spec.outputs[0])));
}

std::unique_ptr<Kernel>
deepshard::runtime::reference::elementwiseKernel(const KernelSpec &spec, RowFunction row,
                                                 std::shared_ptr<const void> context) {
  requireEqualShapes(spec);
  std::vector<TensorDesc> descs = {spec.outputs[0]};
  std::vector<NestOperand> operands = {NestOperand::output(0)};
  for (size_t i = 0; i < spec.inputs.size(); ++i) {
    descs.push_back(spec.inputs[i]);
    operands.push_back(NestOperand::input(static_cast<int>(i)));
  }
  std::vector<NestStep> steps;
  steps.push_back(
      {LoopNest(spec.outputs[0].shape, descs), std::move(operands), row, std::move(context), {}});
  return std::make_unique<NestKernel>(std::move(steps), spec.threads);
}

namespace {

template <typename T>
void copyElements(const void *, char *const *at, const int64_t *strides, int64_t count) {
  constexpr auto kSize = static_cast<int64_t>(sizeof(T));
  if (strides[0] == kSize && strides[1] == kSize) {
    std::memmove(at[0], at[1], count * kSize);
    return;
  }
  if (strides[0] == kSize && strides[1] == 0) {
    std::fill_n(reinterpret_cast<T *>(at[0]), count, *reinterpret_cast<const T *>(at[1]));
    return;
  }
  for (int64_t i = 0; i < count; ++i)
    *reinterpret_cast<T *>(at[0] + i * strides[0]) =
        *reinterpret_cast<const T *>(at[1] + i * strides[1]);
}

} // namespace

RowFunction deepshard::runtime::reference::copyRow(DType dtype) {
  return dispatchSize(
      dtype, [](auto tag) -> RowFunction { return copyElements<typename decltype(tag)::Type>; });
}
