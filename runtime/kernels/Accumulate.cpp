//===- Accumulate.cpp - kernels that add what they compute to an operand ----------------------===//

#include "runtime/kernels/Accumulate.h"

#include "runtime/kernels/Parallel.h"
#include "runtime/kernels/Require.h"

#include <cstring>
#include <fmt/format.h>

using namespace deepshard::runtime;

KernelSpec deepshard::runtime::withoutAccumulator(const KernelSpec &spec) {
  require(!spec.inputs.empty() && spec.outputs.size() == 1,
          fmt::format("{} inputs and {} results, expected an input to add to and one result",
                      spec.inputs.size(), spec.outputs.size()));
  const TensorDesc &sum = spec.inputs.back(), &result = spec.outputs[0];
  require(sum == result && sum.isContiguous(),
          fmt::format("the accumulator {} and the result {} are not contiguous and of one type",
                      textOf(sum), textOf(result)));
  KernelSpec rest = spec;
  rest.inputs.pop_back();
  rest.attributes.set("accumulate", false);
  return rest;
}

namespace {

class Accumulating : public Kernel {
public:
  Accumulating(std::unique_ptr<Kernel> kernel, const KernelSpec &spec)
      : kernel(std::move(kernel)),
        bytes(spec.outputs[0].elements() * static_cast<int64_t>(sizeOf(spec.outputs[0].dtype))),
        threads(spec.threads) {}

  void run(const KernelArguments &arguments) noexcept override {
    const auto *sum = static_cast<const char *>(arguments.inputs.back());
    auto *result = static_cast<char *>(arguments.outputs[0]);
    if (sum != result)
      parallelRanges(threads, bytes, int64_t{1} << 16, [&](int64_t begin, int64_t end) {
        std::memcpy(result + begin, sum + begin, static_cast<size_t>(end - begin));
      });
    kernel->run({arguments.inputs.first(arguments.inputs.size() - 1), arguments.outputs,
                 arguments.workspace});
  }

private:
  std::unique_ptr<Kernel> kernel;
  int64_t bytes;
  int threads;
};

} // namespace

std::unique_ptr<Kernel> deepshard::runtime::accumulating(std::unique_ptr<Kernel> addsToResult,
                                                         const KernelSpec &spec) {
  return std::make_unique<Accumulating>(std::move(addsToResult), spec);
}
