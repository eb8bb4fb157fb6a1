//===- Matmuls.cpp - how long the matmuls of a step take by themselves ------------------------===//
//
//   bench-matmuls PLAN [rounds]
//
// Prepares every matmul kernel (matmul, linear, convolution) of the plan's "train" program as
// ds-run does, runs each by itself on memory of its own, and prints the milliseconds that a step's
// calls of it take by the median call, one line for each shape and the sum last.
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/device/cpu/Arena.h"
#include "runtime/executor/Prepare.h"
#include "runtime/kernels/Accumulate.h"
#include "runtime/kernels/Providers.h"
#include "runtime/plan/Error.h"
#include "runtime/plan/PlanFile.h"
#include "runtime/plan/Types.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>

using namespace deepshard::runtime;
namespace planpb = deepshard::planpb;

namespace {

bool isMatmul(const planpb::Launch &launch) {
  const std::string &kernel = launch.kernel();
  return kernel == "matmul" || kernel == "linear" || kernel.find("convolution") == 0;
}

uint64_t bytesOf(const TensorDesc &desc) {
  int64_t last = 0;
  for (size_t dim = 0; dim < desc.shape.size(); ++dim)
    last += (desc.shape[dim] - 1) * desc.strides[dim];
  return (static_cast<uint64_t>(last + 1) * sizeOf(desc.dtype) + 63) / 64 * 64;
}

/// Seconds of the median call.
double timeAlone(const KernelSpec &spec, const KernelProvider &provider, int rounds) {
  const uint64_t workspace = provider.workspaceBytes(spec);
  uint64_t bytes = workspace;
  for (const auto *operands : {&spec.inputs, &spec.outputs})
    for (const TensorDesc &desc : *operands)
      bytes += bytesOf(desc);
  HostArena arena(bytes + 64);
  std::memset(arena.data(), 0, arena.size());
  char *at = arena.data();
  std::vector<void *> inputs, outputs;
  auto place = [&](const std::vector<TensorDesc> &descs, std::vector<void *> &addresses) {
    for (const TensorDesc &desc : descs) {
      addresses.push_back(at);
      at += bytesOf(desc);
    }
  };
  place(spec.inputs, inputs);
  place(spec.outputs, outputs);
  std::unique_ptr<Kernel> kernel = provider.prepare(spec);
  std::vector<double> seconds;
  for (int round = 0; round <= rounds; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    kernel->run({inputs, outputs, at});
    const std::chrono::duration<double> length = std::chrono::steady_clock::now() - begin;
    if (round > 0) // the first touches the memory
      seconds.push_back(length.count());
  }
  std::nth_element(seconds.begin(), seconds.begin() + rounds / 2, seconds.end());
  return seconds[rounds / 2];
}

std::string textOf(const KernelSpec &spec) {
  std::string text = spec.name;
  for (const TensorDesc &desc : spec.inputs)
    text += fmt::format(" {}[{}]", nameOf(desc.dtype), fmt::join(desc.shape, "x"));
  return text;
}

void run(const char *path, int rounds) {
  const planpb::Plan plan = readPlan(path);
  limitProviders(plan.cpu_level());
  struct Call {
    KernelSpec spec;
    const KernelProvider *provider = nullptr;
    int count = 0;
  };
  std::map<std::string, Call> calls;
  for (const planpb::Program &program : plan.programs()) {
    if (program.name() != "train")
      continue;
    for (const planpb::SegmentCall &call : program.schedule())
      for (const planpb::Task &task : program.segments(static_cast<int>(call.segment())).tasks()) {
        if (!task.has_launch() || !isMatmul(task.launch()))
          continue;
        KernelSpec spec = kernelSpec(task.launch(), static_cast<int>(plan.threads()));
        if (accumulates(spec)) // a product alone adds to nothing
          spec = withoutAccumulator(spec);
        std::string key = textOf(spec);
        for (const auto *operands : {&spec.inputs, &spec.outputs})
          for (const TensorDesc &desc : *operands)
            key += fmt::format(" {}", fmt::join(desc.strides, ","));
        Call &entry = calls[key];
        entry.provider = findProvider(task.launch().provider());
        entry.spec = std::move(spec);
        ++entry.count;
      }
  }
  double sum = 0;
  for (const auto &[key, call] : calls) {
    const double seconds = call.count * timeAlone(call.spec, *call.provider, rounds);
    sum += seconds;
    fmt::print("{:.3f} {} x {}\n", 1e3 * seconds, call.count, textOf(call.spec));
  }
  fmt::print("{:.3f} sum\n", 1e3 * sum);
}

} // namespace

int main(int argc, char **argv) {
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 5;
  if (argc < 2 || rounds < 1) {
    fmt::print(stderr, "usage: bench-matmuls PLAN [rounds]\n");
    return 2;
  }
  try {
    run(argv[1], rounds);
  } catch (const std::exception &error) {
    fmt::print(stderr, "bench-matmuls: error: {}\n", error.what());
    return 1;
  }
}
