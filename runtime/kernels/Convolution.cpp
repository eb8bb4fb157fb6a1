//===- Convolution.cpp - the dimensions of a convolution and of its gradients -----------------===//

#include "runtime/kernels/Convolution.h"

#include "runtime/kernels/Require.h"

#include <fmt/format.h>

using namespace deepshard::runtime;

namespace {

constexpr int64_t kFirstSpatial = 2; // behind batch and channels

void assignRoles(const KernelSpec &spec, Convolution &convolution) {
  requireOperands(spec, 2, 1);
  const TensorDesc &first = spec.inputs[0], &second = spec.inputs[1], &result = spec.outputs[0];
  if (spec.name == "convolution") {
    convolution.x = first;
    convolution.weight = second;
    convolution.y = result;
  } else if (spec.name == "convolution_input_grad") {
    convolution.y = first;
    convolution.weight = second;
    convolution.x = result;
  } else {
    require(spec.name == "convolution_weight_grad", spec.name + " is no convolution");
    convolution.y = first;
    convolution.x = second;
    convolution.weight = result;
  }
  const bool mayWiden = spec.name == "convolution_weight_grad";
  require(first.dtype == second.dtype &&
              (mayWiden ? givesDType(first.dtype, result.dtype) : first.dtype == result.dtype),
          fmt::format("{} of {} and {} cannot give {}", spec.name, textOf(first), textOf(second),
                      textOf(result)));
  require(first.rank() > kFirstSpatial && first.rank() == second.rank() &&
              first.rank() == result.rank(),
          fmt::format("{} of {} and {} to {}: expected equal ranks of at least 3", spec.name,
                      textOf(first), textOf(second), textOf(result)));
}

void readChannels(const KernelSpec &spec, Convolution &convolution) {
  const TensorDesc &x = convolution.x, &weight = convolution.weight, &y = convolution.y;
  convolution.batch = x.shape[0];
  convolution.groups = spec.attributes.integer("groups");
  require(convolution.groups > 0,
          fmt::format("groups is {}, expected 1 or more", convolution.groups));
  convolution.inputs = weight.shape[1];
  convolution.outputs = weight.shape[0] / convolution.groups;
  require(weight.shape[0] == convolution.outputs * convolution.groups &&
              x.shape[1] == convolution.inputs * convolution.groups && y.shape[0] == x.shape[0] &&
              y.shape[1] == weight.shape[0],
          fmt::format("the weight {} in {} groups does not turn {} into {}", textOf(weight),
                      convolution.groups, textOf(x), textOf(y)));
}

/// The attribute `name`, one entry per spatial dimension, none below `least`.
const std::vector<int64_t> &entries(const KernelSpec &spec, std::string_view name, size_t count,
                                    int64_t least) {
  const std::vector<int64_t> &values = spec.attributes.integers(name);
  require(values.size() == count,
          fmt::format("{} has {} entries, expected {}", name, values.size(), count));
  for (int64_t value : values)
    require(value >= least,
            fmt::format("{} has the entry {}, expected {} or more", name, value, least));
  return values;
}

void readSpatial(const KernelSpec &spec, Convolution &convolution) {
  const auto count = static_cast<size_t>(convolution.x.rank() - kFirstSpatial);
  const std::vector<int64_t> &strides = entries(spec, "strides", count, 1),
                             &low = entries(spec, "low", count, 0),
                             &high = entries(spec, "high", count, 0),
                             &dilations = entries(spec, "dilations", count, 1);
  for (size_t i = 0; i < count; ++i) {
    const size_t at = kFirstSpatial + i;
    const ConvolutionDim dim{convolution.x.shape[at],
                             convolution.weight.shape[at],
                             convolution.y.shape[at],
                             strides[i],
                             dilations[i],
                             low[i],
                             high[i]};
    const int64_t reach = dim.dilation * (dim.kernel - 1) + 1;
    const int64_t padded = dim.low + dim.input + dim.high;
    require(
        dim.kernel > 0 && reach <= padded,
        fmt::format("a kernel that reaches over {} elements does not fit into the {} of spatial "
                    "dimension {}",
                    reach, padded, i));
    const int64_t expected = (padded - reach) / dim.stride + 1;
    require(dim.output == expected,
            fmt::format("spatial dimension {} of the result is {}, expected {}", i, dim.output,
                        expected));
    convolution.spatial.push_back(dim);
  }
}

} // namespace

Convolution Convolution::of(const KernelSpec &spec) {
  Convolution convolution{};
  assignRoles(spec, convolution);
  readChannels(spec, convolution);
  readSpatial(spec, convolution);
  return convolution;
}
