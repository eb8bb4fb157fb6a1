//===- Require.cpp - checks that all kernels share --------------------------------------------===//

#include "runtime/kernels/Require.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <stdexcept>

using namespace deepshard::runtime;

void deepshard::runtime::require(bool holds, const std::string &reason) {
  if (!holds)
    throw std::invalid_argument(reason);
}

static void requireDesc(const TensorDesc &desc, const std::string &what) {
  require(
      desc.shape.size() == desc.strides.size(),
      fmt::format("{} has {} sizes but {} strides", what, desc.shape.size(), desc.strides.size()));
  require(desc.rank() <= kMaxRank, fmt::format("{} has {} dimensions, at most {} are supported",
                                               what, desc.rank(), kMaxRank));
  for (int64_t dim = 0; dim < desc.rank(); ++dim) {
    require(desc.shape[dim] >= 0,
            fmt::format("dimension {} of {} has size {}", dim, what, desc.shape[dim]));
    require(desc.strides[dim] >= 0, fmt::format("dimension {} of {} has the negative stride {}",
                                                dim, what, desc.strides[dim]));
  }
}

void deepshard::runtime::requireOperands(const KernelSpec &spec, int inputs, int outputs) {
  const auto found = static_cast<int>(spec.inputs.size());
  require(inputs < 0 ? found > 0 : found == inputs,
          fmt::format("{} takes {} operands, not {}", spec.name,
                      inputs < 0 ? std::string("one or more") : std::to_string(inputs), found));
  require(static_cast<int>(spec.outputs.size()) == outputs,
          fmt::format("{} has {} results, not {}", spec.name, outputs, spec.outputs.size()));
  require(spec.threads >= 1, fmt::format("{} threads, expected at least one", spec.threads));
  for (size_t i = 0; i < spec.inputs.size(); ++i)
    requireDesc(spec.inputs[i], fmt::format("operand {}", i));
  for (size_t i = 0; i < spec.outputs.size(); ++i) {
    const TensorDesc &desc = spec.outputs[i];
    requireDesc(desc, fmt::format("result {}", i));
    for (int64_t dim = 0; dim < desc.rank(); ++dim)
      require(desc.shape[dim] <= 1 || desc.strides[dim] != 0 || desc.elements() == 0,
              fmt::format("dimension {} of result {} has stride 0: a result repeats no element",
                          dim, i));
  }
}

bool deepshard::runtime::givesDType(DType operand, DType result) {
  return operand == result || (isNarrowFloat(operand) && result == DType::F32);
}

std::string deepshard::runtime::textOf(const TensorDesc &desc) {
  return fmt::format("{}[{}]", nameOf(desc.dtype), fmt::join(desc.shape, "x"));
}

uint64_t deepshard::runtime::workspaceAttribute(const KernelSpec &spec) {
  int64_t bytes = spec.attributes.integer("workspace_bytes");
  require(bytes >= 0, "attribute workspace_bytes is negative");
  return static_cast<uint64_t>(bytes);
}
